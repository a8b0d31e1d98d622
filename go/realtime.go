// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Loop says how RealtimeLoop runs.
type Loop struct {
	// Period is the time between two ticks, 1 microsecond or more.
	Period time.Duration
	// KeepMemory leaves the process's memory as it is. Otherwise all of it is locked,
	// what it maps later too, so that no tick waits for a page: see mlockall(2). That
	// takes CAP_IPC_LOCK, or a RLIMIT_MEMLOCK above all that the program maps. After the
	// last loop all of it is unlocked, what the program had locked itself too, by
	// mlock(2) or mlockall(2): the kernel does not tell what that was. Such a program
	// gives KeepMemory, and locks the rest itself.
	KeepMemory bool
	// GCLimit is the number of bytes up to which the Go runtime may grow before it
	// collects garbage, see debug.SetMemoryLimit; 0 stands for 64 MiB more than it has
	// when the loop starts. A limit that is set already and lower stays. Negative: the
	// garbage collector is left as it is.
	GCLimit int64
}

// Tick is what a function is told that RealtimeLoop calls.
type Tick struct {
	// Number counts periods from 0; it skips those that were missed.
	Number uint64
	// Late is how long after its time the tick began.
	Late time.Duration
}

// LoopReport is the account of a RealtimeLoop.
type LoopReport struct {
	// Ticks is how many there were.
	Ticks uint64
	// Overruns counts the ticks that lasted beyond the time of the next one.
	Overruns uint64
	// Missed counts the periods that passed with no tick of their own.
	Missed uint64
	// MaxLate is the largest Tick.Late.
	MaxLate time.Duration
}

// RealtimeLoop calls work once in each period, as Role.Do does at the role's priority,
// until the context is done, which it looks at after each tick. The times are fixed ones,
// a whole number of periods after the first: what is late does not make the next late,
// and a period that has passed is not made up for but counted.
//
// Memory is locked and the garbage collector kept from running meanwhile, for the whole
// process, as Loop says; the first of several loops decides, and the last one gives back
// what the program had, but for its own locks on memory: see KeepMemory.
//
// It sleeps in the kernel, where no other thread of the Go runtime is needed to wake it.
// But like all that returns from a system call, it then needs a P: let GOMAXPROCS be
// above the number of goroutines that compute at the same time. Whatever stops all
// goroutines, such as runtime.ReadMemStats, stops the loop as well; and so does work
// that waits for a goroutine whose thread has a lower priority.
func (r *Role) RealtimeLoop(ctx context.Context, loop Loop, work func(Tick)) (LoopReport, error) {
	var report LoopReport
	if loop.Period < time.Microsecond {
		return report, refused(syscall.EINVAL, "%v is no period: give 1µs or more", loop.Period)
	}
	giveBack, err := hold(loop)
	if err != nil {
		return report, err
	}
	defer giveBack()
	err = r.Do(func() { report.run(ctx, loop.Period, work) })
	return report, err
}

func (r *LoopReport) run(ctx context.Context, period time.Duration, work func(Tick)) {
	start := monotonic() + period
	for number := uint64(0); ctx.Err() == nil; {
		due := start + time.Duration(number)*period
		sleepUntil(due)
		tick := Tick{Number: number, Late: monotonic() - due}
		work(tick)
		r.Ticks++
		if tick.Late > r.MaxLate {
			r.MaxLate = tick.Late
		}
		number++
		// Those whose next period has begun as well can have no tick any more.
		if behind := monotonic() - (due + period); behind > 0 {
			missed := uint64(behind / period)
			r.Overruns++
			r.Missed += missed
			number += missed
		}
	}
}

// Package syscall stops short of these.
const (
	clockMonotonic = 1
	timerAbstime   = 1
)

// monotonic is the time on the clock that sleepUntil sleeps by.
func monotonic() time.Duration {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic,
		uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		// The kernel excludes it for this clock.
		panic(os.NewSyscallError("clock_gettime", errno))
	}
	return time.Duration(ts.Nano())
}

// sleepUntil blocks the thread in the kernel. time.Sleep would park the goroutine alone,
// and have another thread wake it that has no priority.
func sleepUntil(due time.Duration) {
	ts := syscall.NsecToTimespec(int64(due))
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic,
			timerAbstime, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		// The Go runtime sends signals to threads.
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			panic(os.NewSyscallError("clock_nanosleep", errno))
		}
		return
	}
}
