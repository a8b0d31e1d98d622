// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"runtime"
	"sync"
	"time"

	"go_sched/gosched/internal/sys"
)

// period is the time between two wake-ups of the timing loop.
const period = 10 * time.Millisecond

// timing is a loop that wakes up at fixed times, on a thread of its own, as audio rendering
// and machine control do. The deviation of its periods is its jitter.
type timing struct {
	mu        sync.Mutex // Guards what follows.
	recording bool
	periods   []time.Duration
}

// begin starts a new recording.
func (t *timing) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recording = true
	// Enough for a minute, so that recording does not allocate.
	t.periods = make([]time.Duration, 0, 6000)
}

// end ends the recording and returns it.
func (t *timing) end() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recording = false
	return t.periods
}

// start starts the loop.
func (t *timing) start() {
	go func() {
		runtime.LockOSThread()
		due, last := sys.Monotonic()+period, time.Duration(0)
		for ; ; due += period {
			sys.SleepUntil(due)
			woken := sys.Monotonic()
			t.mu.Lock()
			if t.recording && last != 0 {
				t.periods = append(t.periods, woken-last)
			}
			t.mu.Unlock()
			last = woken
		}
	}()
}
