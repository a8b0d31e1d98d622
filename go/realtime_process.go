// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"go_sched/gosched/internal/sys"
)

// process has what the loops of RealtimeLoop set for the whole process, and what the last
// of them restores.
var process struct {
	sync.Mutex
	// The numbers of loops that need memory locked, and the garbage collector suspended.
	lockingLoops, suspendingLoops int
	gcPercent                     int
	gcLimit                       int64
}

// defaultGrowth is how many bytes the Go runtime may grow by during a loop without a
// GCLimit.
const defaultGrowth = 64 << 20

// prepareProcess locks memory and suspends the garbage collector, as a loop says. It
// returns what undoes both.
func prepareProcess(loop Loop) (restore func(), err error) {
	process.Lock()
	defer process.Unlock()
	if !loop.KeepMemory {
		if process.lockingLoops == 0 {
			// After an error, Linux has locked nothing. To unlock would undo what the program
			// has locked itself.
			if errno := sys.LockMemory(); errno != 0 {
				return nil, lockMemoryFailure(errno)
			}
		}
		process.lockingLoops++
	}
	if loop.GCLimit >= 0 {
		if process.suspendingLoops == 0 {
			suspendCollector(loop.GCLimit)
		}
		process.suspendingLoops++
	}
	return func() {
		process.Lock()
		defer process.Unlock()
		if loop.GCLimit >= 0 {
			if process.suspendingLoops--; process.suspendingLoops == 0 {
				debug.SetMemoryLimit(process.gcLimit)
				debug.SetGCPercent(process.gcPercent)
			}
		}
		if !loop.KeepMemory {
			if process.lockingLoops--; process.lockingLoops == 0 {
				sys.UnlockMemory()
			}
		}
	}, nil
}

// suspendCollector has no collection begin below a limit in bytes, 0 for the default, after
// a collection now that makes room. The caller holds the mutex of process.
func suspendCollector(limit int64) {
	runtime.GC()
	if limit == 0 {
		limit = runtimeMemory() + defaultGrowth
	}
	process.gcLimit = debug.SetMemoryLimit(-1)
	if limit < process.gcLimit {
		debug.SetMemoryLimit(limit)
	}
	process.gcPercent = debug.SetGCPercent(-1)
}

// runtimeMemory returns the bytes that count against a memory limit.
func runtimeMemory() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
