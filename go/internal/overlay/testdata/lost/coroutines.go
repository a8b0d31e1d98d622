// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build go1.23

package main

import (
	"iter"

	"go_sched/gosched"
)

func init() { scenarios["coroutines"] = coroutines }

func coroutines() {
	var w group
	for i := 0; i < many(); i++ {
		i := i
		w.start([]gosched.Prio{low, gosched.None}[i%2], func() {
			next, stop := iter.Pull(func(yield func(int) bool) {
				_, err := gosched.SetGoroutine([]gosched.Prio{low, gosched.None, 20}[i%3])
				check(err)
				for n := 0; yield(n); n++ {
					compute(1)
				}
			})
			for n := 0; n < 1000; n++ {
				if got, ok := next(); !ok || got != n {
					panic("a coroutine has lost a value")
				}
				if n%100 == 0 {
					_, err := gosched.SetGoroutine([]gosched.Prio{gosched.None, low}[n/100%2])
					check(err)
				}
			}
			stop()
		})
	}
	w.Wait()
}
