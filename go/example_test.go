// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"syscall"
	"time"

	"go_sched/gosched"
)

// A program compacts with less of the CPU than its other threads get.
func Example() {
	compact := func() { fmt.Println("compacting") }
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.SchedSetattr, gosched.NoOp)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	if err := scheduler.Do(24, compact); err != nil {
		log.Print(err)
	}
	// Output:
	// compacting
}

// A goroutine that others need not wait for. Without the overlay it is an ordinary one.
func ExampleGo() {
	if err := gosched.Overlay(); err != nil {
		log.Print(err)
	}
	done := make(chan bool)
	compact := func() { fmt.Println("compacting"); close(done) }
	err := gosched.Go(8, compact)
	if err != nil {
		log.Fatal(err)
	}
	<-done
	// Output:
	// compacting
}

// A server answers requests beside work that they need not wait for.
func ExampleOverlay() {
	compact := func() {}
	answer := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }
	if err := gosched.Overlay(); err != nil {
		log.Print(err) // Built without the flag: all goroutines are alike.
	}
	if err := gosched.Go(8, compact); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", answer)
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}

// Work that shall not get in the way runs at a low priority, or else without one.
func ExampleScheduler_Do() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.SchedSetattr)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	compact := func() { fmt.Println("compacting") }
	err = scheduler.Do(24, compact)
	if errors.Is(err, gosched.ErrNotBegun) {
		log.Print(err)
		compact()
	} else if err != nil {
		log.Print(err)
	}
	// Output:
	// compacting
}

// A program that runs with and without go_sched names the other backends.
func ExampleOpen() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.SchedSetattr, gosched.NoOp)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	switch scheduler.Backend() {
	case gosched.Device:
		log.Print("with hints")
	case gosched.SystemCall:
		log.Print("without hints: have root let this user open ", gosched.Path)
	case gosched.SchedSetattr:
		log.Print("without hints, and privilege may raise what was lowered")
	case gosched.NoOp:
		log.Print("without priorities")
	}
	// Output:
}

// Errors say what to do, and match the error numbers of the kernel.
func ExampleScheduler_Set() {
	scheduler, err := gosched.Open(gosched.SchedSetattr)
	if err != nil {
		log.Fatal(err)
	}
	err = scheduler.Set(0, 64, gosched.StartAtBase)
	fmt.Println(errors.Is(err, syscall.EINVAL))
	fmt.Println(err)
	// Output:
	// true
	// gosched: 64 is not a priority: they are 0 to 63, and 32 is that of an ordinary thread
}

// A thread that changes its priority often binds itself to a hint.
func ExampleScheduler_Bind() {
	scheduler, err := gosched.Open()
	if err != nil {
		log.Print(err)
		return
	}
	defer scheduler.Close()
	hint, err := scheduler.Bind()
	if err != nil {
		log.Fatal(err)
	}
	defer hint.Unbind()
	for i := 0; i < 3; i++ {
		hint.Set(8)
		// Work that shall not get in the way.
		hint.Clear()
		// Work that others wait for.
	}
	// Output:
}

// A thread that waits is raised by another one, which tells the kernel.
func ExampleHint_Follow() {
	scheduler, err := gosched.Open(gosched.Device, gosched.NoOp)
	if err != nil {
		log.Print(err)
		return
	}
	defer scheduler.Close()
	hint, err := scheduler.Bind()
	if err != nil {
		log.Print(err)
		return
	}
	defer hint.Unbind()
	raised := make(chan bool)
	go func() {
		hint.Set(40)
		if err := hint.Follow(); err != nil {
			log.Print(err)
		}
		close(raised)
	}()
	<-raised
	// Output:
}

// A thread that works for a role is called by its name.
func ExampleRole_Do() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.NoOp)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	compact := func() { fmt.Println("compacting") }
	compaction, err := scheduler.NewRole("compaction", 24)
	if err != nil {
		log.Fatal(err)
	}
	err = compaction.Do(compact)
	fmt.Println(err)
	// Output:
	// compacting
	// <nil>
}

// A program declares the roles of its threads, and lists them.
func ExampleScheduler_Threads() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SchedSetattr)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	request, err := scheduler.NewRole("request", 32)
	if err != nil {
		log.Fatal(err)
	}
	err = request.Do(func() {
		threads, err := scheduler.Threads()
		if err != nil {
			log.Fatal(err)
		}
		for _, thread := range threads {
			if thread.Source == gosched.Declared {
				fmt.Println(thread.Role, thread.Status.Prio)
			}
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// request 32
}

// This loop takes no privilege. A loop that must be on time has a role at 48 or more, and
// locks its memory.
func ExampleRole_RealtimeLoop() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SchedSetattr)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	control, err := scheduler.NewRole("control", 32)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	loop := gosched.Loop{Period: time.Millisecond, KeepMemory: true}
	ticks := 0
	report, err := control.RealtimeLoop(ctx, loop, func(tick gosched.Tick) {
		if ticks++; ticks == 3 {
			cancel()
		}
	})
	fmt.Println(report.Ticks, err)
	// Output:
	// 3 <nil>
}
