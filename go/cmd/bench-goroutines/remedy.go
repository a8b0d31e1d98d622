// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"

	"go_sched/gosched"
)

// remedy is what is done so that requests need not wait.
type remedy struct {
	// They run work for ever, and until it ends; or fail before they begin.
	background func(work func()) error
	requests   func(work func()) error
}

func newRemedy(name string, goroutines int) (remedy, error) {
	asIs := func(work func()) error {
		work()
		return nil
	}
	r := remedy{asIs, asIs}
	switch name {
	case "nothing":
		return r, nil
	case "more Ps":
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
		return r, nil
	case "go_sched":
		r.background = func(work func()) error {
			if _, err := gosched.SetGoroutine(low); err != nil {
				return err
			}
			work()
			return nil
		}
		return r, gosched.Overlay()
	}

	// The others are priorities of threads. Unless their number is given, each thread gets a P,
	// as who waits for one waits whatever the priority of the thread.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + goroutines + 1)
	}
	if name == "own threads" {
		r.background = onOwnThread
		r.requests = onOwnThread
		return r, nil
	}
	backend := gosched.Device
	if name == "SCHED_IDLE" || name == "chrt -r" {
		backend = gosched.SchedSetattr
	}
	scheduler, err := gosched.Open(backend)
	if err != nil {
		return r, err
	}
	at := func(prio gosched.Prio) func(func()) error {
		return func(work func()) error { return scheduler.Do(prio, work) }
	}
	switch name {
	case "SET", "SCHED_IDLE":
		r.background = at(low)
	case "raise":
		r.requests = at(raised)
	case "chrt -r":
		// The lowest of SCHED_RR.
		r.requests = at(48)
	case "hint":
		r.background = func(work func()) error {
			hint, err := scheduler.Bind()
			if err != nil {
				return err
			}
			hint.Set(low)
			work()
			return nil
		}
	default:
		return r, fmt.Errorf("unknown remedy %q", name)
	}
	return r, nil
}

func onOwnThread(work func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	work()
	return nil
}
