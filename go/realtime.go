// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"context"
	"runtime"
	"syscall"
	"time"

	"go_sched/gosched/internal/sys"
)

// Loop says how RealtimeLoop runs.
type Loop struct {
	// Period is the time between two ticks, 1 microsecond or more.
	Period time.Duration
	// KeepMemory leaves the memory of the process as it is. Without KeepMemory all of it is
	// locked, and so is what the process maps later, so that no tick waits for a page: see
	// mlockall(2). That takes CAP_IPC_LOCK, or an RLIMIT_MEMLOCK above all that the program
	// maps.
	//
	// After the last loop all memory is unlocked, even what the program itself has locked
	// by mlock(2) or mlockall(2), as the kernel does not tell what that was. Such a program
	// sets KeepMemory, and locks the rest itself.
	KeepMemory bool
	// GCLimit is the number of bytes up to which the Go runtime may grow before it collects
	// garbage, see debug.SetMemoryLimit. 0 stands for 64 MiB more than it has when the loop
	// starts. A lower limit that the program has set stays. A negative GCLimit leaves the
	// garbage collector as it is.
	GCLimit int64
}

// Tick is the argument of the function that RealtimeLoop calls.
type Tick struct {
	// Number counts periods from 0, missed ones too.
	Number uint64
	// Late is the time from the start of the period to the start of the tick.
	Late time.Duration
}

// LoopReport is the result of a RealtimeLoop.
type LoopReport struct {
	// Ticks is the number of ticks.
	Ticks uint64
	// Overruns counts the ticks that ended after the start of the next period.
	Overruns uint64
	// Missed counts the periods that had no tick.
	Missed uint64
	// MaxLate is the largest Tick.Late.
	MaxLate time.Duration
}

// RealtimeLoop calls work once in each period, on a thread at the role's priority as Role.Do
// does. It ends after the tick during which the context is done. Periods start at fixed
// times, a whole number of periods after the first: a late tick does not make the next one
// late, and a period that has passed is counted but not made up for.
//
// Memory is locked and the garbage collector suspended meanwhile, for the whole process, as
// Loop says. The first of several loops at the same time decides how. The last one restores
// what the program had, except its own locks on memory: see KeepMemory.
//
// The thread sleeps in the kernel, and no other thread of the Go runtime is needed to wake
// it. Like all that returns from a system call it then needs a P: let GOMAXPROCS be above
// the number of goroutines that compute at the same time. Whatever stops all goroutines,
// such as runtime.ReadMemStats, stops the loop too. Work that waits for a goroutine waits
// as long as that goroutine's thread does, whose priority may be lower.
func (r *Role) RealtimeLoop(ctx context.Context, loop Loop, work func(Tick)) (LoopReport, error) {
	var report LoopReport
	if loop.Period < time.Microsecond {
		return report, notBegun{refused(syscall.EINVAL, "%v is no period: give 1µs or more", loop.Period)}
	}
	restore, err := prepareProcess(loop)
	if err != nil {
		return report, notBegun{err}
	}
	defer restore()
	err = r.Do(func() {
		// The thread stays at the priority while it sleeps.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		report.run(ctx, loop.Period, work)
	})
	return report, err
}

func (r *LoopReport) run(ctx context.Context, period time.Duration, work func(Tick)) {
	start := sys.Monotonic() + period
	for number := uint64(0); ctx.Err() == nil; {
		due := start + time.Duration(number)*period
		sys.SleepUntil(due)
		tick := Tick{Number: number, Late: sys.Monotonic() - due}
		work(tick)
		r.Ticks++
		if tick.Late > r.MaxLate {
			r.MaxLate = tick.Late
		}
		number++
		// A period has no tick any more once the next one has begun.
		if behind := sys.Monotonic() - (due + period); behind > 0 {
			missed := uint64(behind / period)
			r.Overruns++
			r.Missed += missed
			number += missed
		}
	}
}
