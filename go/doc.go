// SPDX-License-Identifier: MIT OR GPL-2.0

// Package gosched gives goroutines and kernel threads a Go priority: a number from 0 to 63,
// higher = more urgent.
//
// # Goroutines
//
// In a program that is built with the overlay of Go's runtime, on any system and kernel, the
// goroutines have priorities:
//
//	go build -overlay "$(gosched-overlay)" ./...
//
//	err := gosched.Go(8, compact)
//
// SetGoroutine gives the calling goroutine a priority, and Overlay tells whether the overlay is
// in. docs/goroutines.md in the repository says what it does.
//
// # Threads
//
// The Linux scheduler maps the number of a thread to its own parameters while the module
// go_sched_class is loaded. An ordinary thread is at 32. Threads at 0 to 15 run when no
// other thread wants to, and threads at 48 and above run before all others.
//
// The usual way is to run a piece of work at a priority:
//
//	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.NoOp)
//	if err != nil {
//		return err
//	}
//	err = scheduler.Do(24, compact)
//
// A user may lower threads and bring them back without any privilege. To go above what a
// thread had takes what sched_setattr(2) asks for, or a ceiling that root grants with the
// command "gosched ceiling".
//
// # Import
//
// The module is not on any proxy: a program has it from a clone of the repository, here
// /path/to/go_sched. In the folder of the program's go.mod, which names Go 1.19 or later:
//
//	go mod edit -require=go_sched/gosched@v0.0.0 -replace=go_sched/gosched=/path/to/go_sched/go
//
// After that, import "go_sched/gosched" works. The module needs no other module, and no C.
//
// # Without go_sched
//
// Open fails where none of its backends works, on other systems than Linux too, with an error
// that matches ErrUnsupported. NoOp, as the last one, always works: work then runs without a
// priority. Backend tells which one it is, and says what each of them cannot do.
//
// Do may fail too, where the kernel refuses the priority. The error matches ErrNotBegun if
// the work was not run:
//
//	if errors.Is(err, gosched.ErrNotBegun) {
//		compact()
//	}
//
// # Hints
//
// A thread that changes its priority often binds itself to a slot of a page that the
// kernel reads. After that, a change is a store of one byte:
//
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
// The kernel orders threads. It cannot reorder goroutines that wait for a P: that takes the
// overlay. A goroutine that is not locked to its thread may leave the thread, and its priority,
// at any time; so Do locks. A garbage collection waits for each thread that runs Go code, including the least
// urgent one.
//
// Threads lists the threads of the process. For a program that declares Roles, the list says
// which thread does what.
//
// # Whole programs
//
// Package httprole answers the requests of net/http at the priority of a role.
//
// RealtimeLoop runs a function in fixed periods, and locks memory and suspends the garbage
// collector meanwhile. Package maxprocs sets GOMAXPROCS to the CPU quota of the cgroup where
// the Go runtime does not. Package tracefile writes what "gosched record" puts beside the kernel's
// events: a trace of Go's runtime, or of the last seconds before a deadline was missed.
package gosched
