// SPDX-License-Identifier: MIT OR GPL-2.0

package main

// What concerns the process as a whole, among goroutines that are lowered.

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go_sched/gosched"
)

func init() {
	scenarios["GOMAXPROCS changes"] = procsChange
	scenarios["garbage collection"] = collection
	scenarios["stops of the world"] = stops
	scenarios["signals"] = signals
	scenarios["child processes"] = children
	scenarios["system calls on all threads"] = allThreads
	scenarios["profiles and traces"] = profiles
	scenarios["pools"] = pools
}

func procsChange() {
	var w group
	var done atomic.Bool
	w.lowered(many(), func(n int) {
		for !done.Load() {
			switch n % 4 {
			case 0:
				compute(20)
			case 1:
				time.Sleep(time.Millisecond)
			case 2:
				ts := syscall.NsecToTimespec(1e6)
				_ = syscall.Nanosleep(&ts, nil)
			case 3:
				runtime.Gosched()
			}
		}
	})
	procs := runtime.GOMAXPROCS(0)
	for i := 0; i < 200; i++ {
		runtime.GOMAXPROCS(1 + i%5)
		if n := runtime.GOMAXPROCS(0); n != 1+i%5 {
			panic("GOMAXPROCS is not what it was set to")
		}
		compute(10)
	}
	runtime.GOMAXPROCS(procs)
	done.Store(true)
	w.Wait()
}

// collection has lowered ones and others allocate, and collects.
func collection() {
	var w group
	var done atomic.Bool
	for i := 0; i < many(); i++ {
		w.start([]gosched.Prio{low, low, gosched.None}[i%3], func() {
			var keep [64][]byte
			for i := 0; !done.Load(); i++ {
				keep[i%len(keep)] = make([]byte, 1<<(i%16))
			}
		})
	}
	for i := 0; i < 8; i++ {
		runtime.GC()
	}
	done.Store(true)
	w.Wait()
}

func stops() {
	var w group
	var done atomic.Bool
	w.lowered(many(), func(n int) {
		var stats runtime.MemStats
		for !done.Load() {
			if n == 0 {
				runtime.ReadMemStats(&stats)
			}
			compute(10)
		}
	})
	during(400*time.Millisecond, func() {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		_ = runtime.Stack(make([]byte, 1<<16), true)
	})
	done.Store(true)
	w.Wait()
}

func signals() {
	var w group
	all := make(chan struct{})
	w.lowered(many(), func(int) {
		for {
			select {
			case <-all:
				return
			case <-time.After(time.Millisecond):
				compute(10)
			}
		}
	})
	w.start(low, func() {
		received := make(chan os.Signal, 1)
		signal.Notify(received, syscall.SIGUSR1)
		for i := 0; i < 100; i++ {
			check(syscall.Kill(syscall.Getpid(), syscall.SIGUSR1))
			<-received
		}
		signal.Reset()
		close(all)
	})
	w.Wait()
}

func children() {
	var w group
	w.lowered(many(), func(int) {
		for i := 0; i < 4; i++ {
			check(exec.Command("true").Run())
		}
	})
	w.Wait()
}

func allThreads() {
	var w group
	var done atomic.Bool
	w.lowered(many(), func(n int) {
		if n == 0 {
			for i := 0; i < 50; i++ {
				_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0)
				if errno != 0 && errno != syscall.ENOTSUP { // With cgo there is none.
					panic(errno)
				}
			}
			done.Store(true)
		}
		for !done.Load() {
			compute(10)
		}
	})
	w.Wait()
}

func profiles() {
	var w group
	var done atomic.Bool
	for i := 0; i < many(); i++ {
		ping := make(chan int)
		w.start(low, func() {
			for range ping {
				compute(2)
			}
		})
		w.start(gosched.None, func() {
			for !done.Load() {
				ping <- 1
			}
			close(ping)
		})
	}
	for i := 0; i < 3; i++ {
		var out bytes.Buffer
		check(trace.Start(&out))
		check(pprof.StartCPUProfile(&bytes.Buffer{}))
		check(pprof.Lookup("goroutine").WriteTo(&bytes.Buffer{}, 0))
		time.Sleep(5 * time.Millisecond)
		pprof.StopCPUProfile()
		trace.Stop()
	}
	done.Store(true)
	w.Wait()
}

// pools uses a pool on the Ps that are there for who is not lowered too.
func pools() {
	var w group
	pool := sync.Pool{New: func() any { return new([8]int) }}
	var done atomic.Bool
	for i := 0; i < 2*runtime.GOMAXPROCS(0); i++ {
		w.start([]gosched.Prio{low, gosched.None}[i%2], func() {
			for !done.Load() {
				v := pool.Get().(*[8]int)
				v[0]++
				compute(1)
				pool.Put(v)
			}
		})
	}
	for i := 0; i < 2; i++ {
		time.Sleep(30 * time.Millisecond)
		runtime.GC()
	}
	done.Store(true)
	w.Wait()
}
