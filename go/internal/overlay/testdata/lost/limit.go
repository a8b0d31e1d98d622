// SPDX-License-Identifier: MIT OR GPL-2.0

package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

func init() { scenarios["no more than GOMAXPROCS run"] = limit }

// limit compares the time on CPUs with what GOMAXPROCS threads may have.
func limit() {
	var w group
	var done atomic.Bool
	begin, before := time.Now(), onCPU()
	w.lowered(many(), func(n int) {
		for i := 0; !done.Load(); i++ {
			compute(10)
			switch {
			case n%4 == 0:
				runtime.Gosched()
			case n%4 == 1 && i%10 == 0:
				time.Sleep(100 * time.Microsecond)
			case n%4 == 2 && i%10 == 0:
				ts := syscall.NsecToTimespec(1e5)
				_ = syscall.Nanosleep(&ts, nil)
			}
		}
	})
	time.Sleep(500 * time.Millisecond)
	used, over := onCPU()-before, time.Since(begin)
	done.Store(true)
	w.Wait()
	// Threads that look for work take some as well.
	if most := over*time.Duration(runtime.GOMAXPROCS(0))*5/4 + 50*time.Millisecond; used > most {
		panic(fmt.Sprintf("%v on CPUs within %v, which is more than %v", used, over, most))
	}
}

func onCPU() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
