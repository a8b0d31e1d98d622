// SPDX-License-Identifier: GPL-2.0

//go:build linux

// Package gosched gives kernel threads a Go priority: one number, 0 to 63 and higher
// = more urgent, which the Linux scheduler maps to its own parameters while the module
// go_sched_class is loaded. 32 is an ordinary thread; 0 to 15 run where nothing else
// wants to; 48 and up run before everything else.
//
// The usual way is to run a piece of work at a priority:
//
//	scheduler, err := gosched.Open()
//	if err != nil {
//		return err
//	}
//	err = scheduler.Do(8, compact)
//
// A user may lower threads and bring them back without any privilege; going above what a
// thread had takes what sched_setattr(2) asks for, or a ceiling that root grants with the
// command "gosched ceiling".
//
// # Import
//
// The module is not on any proxy: a program has it from a clone of the repository, here
// /path/to/go_sched. In the folder of the program's go.mod, which asks for Go 1.19 or later:
//
//	go mod edit -require=go_sched/gosched@v0.0.0 -replace=go_sched/gosched=/path/to/go_sched/go
//
// From then on, import "go_sched/gosched" is all it takes: the module needs no other, and
// no C.
//
// # Without go_sched
//
// Open fails where there is no device, with an error that matches ErrUnsupported. A
// program that is to run there too says what may take its place, and finds out what did:
//
//	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.SchedSetattr)
//	...
//	log.Print(scheduler.Backend())
//
// See Backend for what each of them cannot do.
//
// # Hints
//
// A thread that changes its priority often binds itself to a slot of a page that the
// kernel reads. From then on a change is a store of one byte:
//
//	runtime.LockOSThread()
//	defer runtime.UnlockOSThread()
//	hint, err := scheduler.Bind()
//	if err != nil {
//		return err
//	}
//	defer hint.Unbind()
//	for _, block := range blocks {
//		hint.Set(8)
//		compact(block)
//		hint.Clear()
//		publish(block)
//	}
//
// # Threads and goroutines
//
// The kernel orders threads. It cannot reorder goroutines that wait for a P, and a
// goroutine that is not locked to its thread leaves it, and its priority, at any time. So
// Do locks. A collection of garbage waits for each thread that runs Go code, the least
// urgent one too.
//
// A program that declares Roles sees in the listing of Threads which threads do what. The
// runtime does not tell more; see there for what cannot be known.
//
// # Whole programs
//
// RealtimeLoop runs a function in fixed periods, with what that takes beside a priority.
// LimitProcs fits GOMAXPROCS to the quota of the cgroup where the runtime does not.
package gosched
