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
		tid := syscall.Gettid()
		errno := table.replace(tid, next, func(record) syscall.Errno {
			// As if the kernel ran other threads from here on.
			go func() {
				defer close(done)
				runtime.LockOSThread()
				other := syscall.Gettid()
				if errno := table.replace(other, next, func(record) syscall.Errno { return 0 }); errno != 0 {
					t.Error(errno)
				}
				for _, tid := range []int{tid, other} {
					if found, errno := table.find(tid); errno != 0 || found.prio != 8 {
						t.Errorf("%+v, %v", found, errno)
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
		if found, _ := table.find(tid); found.prio != None {
			t.Errorf("%+v", found)
		}
	})
}

func TestStartTimeTellsThreadsApart(t *testing.T) {
	start, errno := startTime(os.Getpid())
	must(t, orNil(errno))
	// In ticks of 1/100 s, the unit of /proc on all machines.
	text, err := os.ReadFile("/proc/uptime")
	must(t, err)
	seconds, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	must(t, err)
	if now := uint64(seconds / (10 * time.Millisecond)); start == 0 || start > now+1 {
		t.Errorf("this process started at %d, it is %d", start, now)
	}
}
