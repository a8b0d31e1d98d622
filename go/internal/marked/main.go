// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Command marked is for tests of what reads goroutines of a program from outside. Each of four
// goroutines stays on a thread of its own, says the numbers of both in a line, and sleeps there
// in system calls, -sleeps times. With -wait it begins when standard input ends.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"go_sched/gosched/internal/program"
)

func main() {
	wait := flag.Bool("wait", false, "")
	sleeps := flag.Int("sleeps", 50, "")
	program.Parse("", func() bool { return true })
	if *wait {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	var ended sync.WaitGroup
	for i := 0; i < 4; i++ {
		ended.Add(1)
		go func() {
			defer ended.Done()
			runtime.LockOSThread()
			fmt.Printf("%d %s\n", syscall.Gettid(), number())
			pause := syscall.NsecToTimespec(int64(time.Millisecond))
			for sleep := 0; sleep < *sleeps; sleep++ {
				_ = syscall.Nanosleep(&pause, nil)
				runtime.Gosched()
			}
		}()
	}
	ended.Wait()
}

// number returns the number of the calling goroutine, as its stack begins with.
func number() []byte {
	stack := make([]byte, 64)
	stack = stack[:runtime.Stack(stack, false)]
	return bytes.Fields(stack)[1]
}
