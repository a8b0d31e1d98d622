// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"syscall"
)

// What loops hold for the whole process, and what is to be given back after the last.
var held struct {
	sync.Mutex
	memory, collector int // How many loops hold each.
	gcPercent         int
	gcLimit           int64
}

// roomToGrow is how much the runtime may grow during a loop unless told otherwise.
const roomToGrow = 64 << 20

// hold locks memory and holds the garbage collector off. It returns what gives them back.
func hold(loop Loop) (giveBack func(), err error) {
	held.Lock()
	defer held.Unlock()
	if !loop.KeepMemory {
		if held.memory == 0 {
			if err := lockMemory(); err != nil {
				return nil, err
			}
		}
		held.memory++
	}
	if loop.GCLimit >= 0 {
		if held.collector == 0 {
			holdCollector(loop.GCLimit)
		}
		held.collector++
	}
	return func() {
		held.Lock()
		defer held.Unlock()
		if loop.GCLimit >= 0 {
			if held.collector--; held.collector == 0 {
				debug.SetMemoryLimit(held.gcLimit)
				debug.SetGCPercent(held.gcPercent)
			}
		}
		if !loop.KeepMemory {
			if held.memory--; held.memory == 0 {
				// It has no errors but that of a kernel without memory management.
				_ = syscall.Munlockall()
			}
		}
	}, nil
}

func lockMemory() error {
	err := syscall.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE)
	if err == nil {
		return nil
	}
	// Linux has locked nothing then. To unlock would undo what the program has locked itself.
	return refused(err.(syscall.Errno), "cannot lock the memory of the process: %v; raise "+
		"RLIMIT_MEMLOCK, with \"ulimit -l\" or LimitMEMLOCK= of systemd, or have CAP_IPC_LOCK; "+
		"or run the loop with KeepMemory", err)
}

// holdCollector lets no collection begin below a limit, and has one now, so that there
// is room. The caller holds the mutex.
func holdCollector(limit int64) {
	runtime.GC()
	if limit == 0 {
		limit = runtimeMemory() + roomToGrow
	}
	held.gcLimit = debug.SetMemoryLimit(-1)
	if limit < held.gcLimit {
		debug.SetMemoryLimit(limit)
	}
	held.gcPercent = debug.SetGCPercent(-1)
}

// runtimeMemory is what counts against a memory limit, in bytes.
func runtimeMemory() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
