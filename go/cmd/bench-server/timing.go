// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// period is how often the timing loop wakes up, in nanoseconds.
const period = 10_000_000

// Package syscall stops short of these.
const (
	clockMonotonic = 1
	timerAbstime   = 1
)

// timing is a loop that wakes up at fixed times, on a thread of its own, as one does
// that renders audio or drives a machine. What its periods deviate by is its jitter.
type timing struct {
	mu        sync.Mutex // Guards what follows.
	recording bool
	periods   []int64 // In nanoseconds.
}

// begin drops what was recorded.
func (t *timing) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recording = true
	// Enough for a minute, so that recording does not allocate.
	t.periods = make([]int64, 0, 6000)
}

// end returns what was recorded since.
func (t *timing) end() []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recording = false
	return t.periods
}

// start starts the loop.
func (t *timing) start() {
	go func() {
		runtime.LockOSThread()
		due, last := now()+period, int64(0)
		for ; ; due += period {
			sleepUntil(due)
			woken := now()
			t.mu.Lock()
			if t.recording && last != 0 {
				t.periods = append(t.periods, woken-last)
			}
			t.mu.Unlock()
			last = woken
		}
	}()
}

// now is the time in nanoseconds, on the clock that sleepUntil sleeps by.
func now() int64 {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic,
		uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		// The kernel excludes it for this clock.
		panic(os.NewSyscallError("clock_gettime", errno))
	}
	return ts.Nano()
}

// sleepUntil blocks the thread in the kernel. With time.Sleep it would depend on
// another thread of the runtime to be woken.
func sleepUntil(due int64) {
	ts := syscall.NsecToTimespec(due)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic,
			timerAbstime, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
