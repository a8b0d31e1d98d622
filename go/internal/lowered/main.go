// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Command lowered is for tests of what gosched tells of a Go program. It has a goroutine that
// computes for ever on a thread of its own, which has the priority of the flag -prio if there is
// one: by its goroutine where the program was built with the overlay, and otherwise for good.
//
// It prints the id of that thread, and ends with its standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"go_sched/gosched"
	"go_sched/gosched/internal/program"
)

func main() {
	prio := flag.Int("prio", -1, "")
	program.Parse("-prio is 0 to 63, or -1 for none", func() bool { return *prio >= -1 && *prio < 64 })
	started := make(chan error)
	go compute(*prio, started)
	program.Fail(1, <-started)
	_, err := io.Copy(io.Discard, os.Stdin)
	program.Fail(1, err)
}

func compute(prio int, started chan<- error) {
	runtime.LockOSThread()
	var err error
	if prio >= 0 {
		err = lower(gosched.Prio(prio))
	}
	fmt.Println(syscall.Gettid())
	started <- err
	for {
	}
}

func lower(prio gosched.Prio) error {
	if gosched.Overlay() == nil {
		_, err := gosched.SetGoroutine(prio)
		return err
	}
	s, err := gosched.Open(gosched.Device)
	if err != nil {
		return err
	}
	return s.SetCurrent(prio)
}
