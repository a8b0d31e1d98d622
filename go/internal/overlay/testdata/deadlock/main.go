// SPDX-License-Identifier: MIT OR GPL-2.0

// Command deadlock has lowered goroutines, and others, wait for what never comes.
package main

import (
	"runtime"
	"time"

	"go_sched/gosched"
)

func main() {
	for i := 0; i < 20; i++ {
		if err := gosched.Go([]gosched.Prio{8, gosched.None}[i%2], func() {
			time.Sleep(time.Millisecond)
			runtime.Gosched()
			select {}
		}); err != nil {
			panic(err)
		}
	}
	if _, err := gosched.SetGoroutine(8); err != nil {
		panic(err)
	}
	select {}
}
