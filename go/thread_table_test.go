// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A thread that is lowered may not run for long. No other thread may wait for it.
func TestNobodyWaitsForALoweredThread(t *testing.T) {
	var table threadTable
	next := func(*record) (record, syscall.Errno) { return record{prio: 8}, 0 }
	done := make(chan bool)
	onThread(t, func() {
		own := target{syscall.Gettid(), 7}
		errno := table.replace(own, next, func(record) syscall.Errno {
			// As if the kernel ran other threads from here on.
			go func() {
				defer close(done)
				runtime.LockOSThread()
				other := target{syscall.Gettid(), 8}
				if errno := table.replace(other, next, func(record) syscall.Errno { return 0 }); errno != 0 {
					t.Error(errno)
				}
				for _, of := range []target{own, other} {
					if found := table.find(of); found.prio != 8 {
						t.Errorf("%+v", found)
					}
				}
				table.dropEnded()
			}()
			<-done
			return syscall.EPERM
		})
		if errno != syscall.EPERM {
			t.Error(errno)
		}
		// The record of a refused change is dropped.
		if found := table.find(own); found.prio != None {
			t.Errorf("%+v", found)
		}
	})
}

func TestStartTimeTellsThreadsApart(t *testing.T) {
	start, err := startTime(os.Getpid())
	must(t, err)
	// In ticks of 1/100 s, the unit of /proc on all machines.
	text, err := os.ReadFile("/proc/uptime")
	must(t, err)
	seconds, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	must(t, err)
	if now := uint64(seconds / (10 * time.Millisecond)); start == 0 || start > now+1 {
		t.Errorf("this process started at %d, it is %d", start, now)
	}
}
