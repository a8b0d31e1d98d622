// SPDX-License-Identifier: MIT OR GPL-2.0

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go_sched/gosched"
)

func init() {
	scenarios["alone"] = alone
	scenarios["pipes"] = pipes
	scenarios["sleeping calls"] = sleepingCalls
	scenarios["locked to threads"] = locked
	scenarios["ending while locked"] = endingWhileLocked
	scenarios["panics"] = panics
	scenarios["channels"] = channels
	scenarios["spinning for each other"] = spinning
	scenarios["awaited by a computing one"] = awaited
	scenarios["awaited by yielding ones"] = awaitedByMany
	scenarios["mutexes"] = mutexes
	scenarios["timers"] = timers
	scenarios["raising and lowering"] = upAndDown
	scenarios["starting each other"] = starting
}

func alone() {
	var w group
	w.lowered(many(), func(int) { during(50*time.Millisecond, func() { compute(10) }) })
	w.Wait()
}

// pipes has pairs block in read(2), each with a thread of its own.
func pipes() {
	var w group
	for i := 0; i < many(); i++ {
		var to, from [2]int
		check(syscall.Pipe(to[:]))
		check(syscall.Pipe(from[:]))
		side := func(read, write int, first bool) func() {
			return func() {
				b := []byte{0}
				for i := 0; i < 300; i++ {
					if first {
						must(syscall.Write(write, b))
					}
					must(syscall.Read(read, b))
					if !first {
						must(syscall.Write(write, b))
					}
				}
			}
		}
		w.start(low, side(from[0], to[1], true))
		w.start([]gosched.Prio{low, gosched.None}[i%2], side(to[0], from[1], false))
	}
	w.Wait()
}

func must(n int, err error) {
	check(err)
	if n != 1 {
		panic("a pipe has ended")
	}
}

func sleepingCalls() {
	var w group
	w.lowered(many(), func(n int) {
		b := []byte{0}
		for i := 0; i < 40; i++ {
			ts := syscall.NsecToTimespec(int64(n%5) * 1e6)
			if err := syscall.Nanosleep(&ts, nil); err != nil && err != syscall.EINTR {
				panic(err)
			}
			fd, err := syscall.Open("/proc/self/stat", syscall.O_RDONLY, 0)
			check(err)
			must(syscall.Read(fd, b))
			check(syscall.Close(fd))
			compute(20)
		}
	})
	w.Wait()
}

func locked() {
	var w group
	for i := 0; i < many(); i++ {
		ping, pong := make(chan int), make(chan int)
		w.start(low, func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for v := range ping {
				pong <- v
			}
			close(pong)
		})
		w.start([]gosched.Prio{low, gosched.None}[i%2], func() {
			for i := 0; i < 200; i++ {
				ping <- i
				<-pong
			}
			close(ping)
		})
	}
	w.Wait()
}

func endingWhileLocked() {
	var w group
	w.lowered(30, func(int) {
		w.lowered(3, func(int) {
			runtime.LockOSThread()
			compute(100)
			runtime.Gosched()
		})
		time.Sleep(time.Millisecond)
	})
	w.Wait()
}

func panics() {
	var w group
	w.lowered(many(), func(n int) {
		for i := 0; i < 200; i++ {
			func() {
				defer func() {
					if recover() == nil {
						panic("nothing to recover from")
					}
				}()
				if i%2 == 0 {
					_, _ = gosched.SetGoroutine(gosched.Prio(n % 40))
				}
				var p *int
				*p = 1
			}()
			w.start(gosched.Prio(n%40), runtime.Goexit)
		}
	})
	w.Wait()
}

func channels() {
	var w group
	for i := 0; i < many(); i++ {
		ping, pong := make(chan int), make(chan int, i%3)
		prios := [][2]gosched.Prio{{low, gosched.None}, {low, low}, {gosched.None, 24}}[i%3]
		w.start(prios[0], func() {
			for v := range ping {
				compute(v % 3)
				pong <- v
			}
			close(pong)
		})
		w.start(prios[1], func() {
			go func() {
				for i := 0; i < 2000; i++ {
					ping <- i
				}
				close(ping)
			}()
			for range pong {
			}
		})
	}
	w.Wait()
}

// spinning has as many wait for each other as may run at once, with nothing that yields.
func spinning() {
	procs := runtime.GOMAXPROCS(0)
	var w group
	var turn atomic.Int64
	rounds := int64(20 * procs)
	w.lowered(procs, func(n int) {
		for {
			switch t := turn.Load(); {
			case t >= rounds:
				return
			case t%int64(procs) == int64(n):
				turn.Add(1)
			}
		}
	})
	w.Wait()
}

// awaited has a goroutine that is not lowered compute until a lowered one has done something,
// while others come and go on the Ps that count.
func awaited() {
	var w group
	var done atomic.Bool
	for i := 0; i < many(); i++ {
		ping, pong := make(chan int), make(chan int)
		w.start(low, func() {
			for v := range ping {
				compute(v % 2)
				pong <- v
			}
		})
		w.start(gosched.None, func() {
			for i := 0; !done.Load(); i++ {
				ping <- i
				<-pong
				if i%16 == 0 {
					time.Sleep(50 * time.Microsecond)
				}
			}
			close(ping)
		})
	}
	var answer atomic.Int64
	question := make(chan int64, 1)
	w.start(low, func() {
		for q := range question {
			answer.Store(q)
		}
	})
	during(time.Second, func() {
		q := answer.Load() + 1
		for question <- q; answer.Load() != q; {
		}
	})
	close(question)
	done.Store(true)
	w.Wait()
}

// awaitedByMany has more than there are Ps yield until lowered ones have done something.
func awaitedByMany() {
	var w group
	var left atomic.Int64
	lowered := many()
	left.Store(int64(lowered))
	for i := 0; i < 2*many(); i++ {
		w.start(gosched.None, func() {
			for left.Load() > 0 {
				runtime.Gosched()
			}
		})
	}
	w.lowered(lowered, func(int) {
		for i := 0; i < 10; i++ {
			runtime.Gosched()
		}
		left.Add(-1)
	})
	w.Wait()
}

func mutexes() {
	var w group
	var mu sync.Mutex
	var rw sync.RWMutex
	cond := sync.NewCond(&mu)
	waiting, total := 0, many()
	for i := 0; i < total; i++ {
		w.start([]gosched.Prio{low, gosched.None, 20}[i%3], func() {
			for i := 0; i < 300; i++ {
				mu.Lock()
				compute(1)
				mu.Unlock()
				rw.RLock()
				compute(1)
				rw.RUnlock()
				if i%20 == 0 {
					rw.Lock()
					runtime.Gosched()
					rw.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if waiting++; waiting == total {
				cond.Broadcast()
			}
			for waiting < total {
				cond.Wait()
			}
		})
	}
	w.Wait()
}

func timers() {
	var w group
	w.lowered(many(), func(n int) {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		fired := make(chan bool)
		for i := 0; i < 100; i++ {
			time.AfterFunc(time.Duration(n)*100*time.Microsecond, func() { fired <- true })
			<-fired
			<-ticker.C
			select {
			case <-fired:
			case <-time.After(100 * time.Microsecond):
			}
		}
	})
	w.Wait()
}

func upAndDown() {
	var w group
	for i := 0; i < many(); i++ {
		w.start(gosched.None, func() {
			for i := 0; i < 3000; i++ {
				want := []gosched.Prio{low, gosched.None, 20, 40}[i%4]
				_, err := gosched.SetGoroutine(want)
				check(err)
				if got := gosched.Goroutine(); got != want {
					panic("another priority than was set")
				}
				if i%100 == 0 {
					time.Sleep(10 * time.Microsecond)
				}
			}
		})
	}
	w.Wait()
}

func starting() {
	var w group
	var tree func(depth int)
	tree = func(depth int) {
		if depth == 0 {
			return
		}
		for i := 0; i < 3; i++ {
			w.Add(1)
			go func() {
				defer w.Done()
				compute(1)
				tree(depth - 1)
			}()
		}
	}
	w.start(low, func() { tree(8) })
	w.start(gosched.None, func() { tree(8) })
	w.Wait()
}
