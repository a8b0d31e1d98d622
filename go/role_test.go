// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// eachBackend runs a test with each backend, at prio or a priority that the user may leave.
func eachBackend(t *testing.T, prio Prio, test func(t *testing.T, s *Scheduler, prio Prio)) {
	for _, backend := range []Backend{Device, SystemCall, SchedSetattr} {
		prio := prio
		if backend == SchedSetattr && !hasSysNice() {
			// Lower would be refused: there is no way back.
			prio = niceZero
		}
		t.Run(backend.String(), func(t *testing.T) { test(t, open(t, backend), prio) })
	}
}

func TestAnyDoReturnsAThreadToItsBase(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		onThread(t, func() {
			base := inForce(t, 0)
			must(t, s.Do(prio, func() {
				expect(t, s, 0, prio)
				if now := inForce(t, 0); now.Policy != prio.attributes(base).Policy {
					t.Errorf("%+v", now)
				}
			}))
			expect(t, s, 0, None)
			expectInForce(t, base)
		})
	})
}

func TestAnyDoReturnsAThreadToItsPriority(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		onThread(t, func() {
			must(t, s.Set(0, prio, Inherit))
			before, err := s.Get(0)
			must(t, err)
			must(t, s.Do(prio, func() {
				must(t, s.Do(prio, func() { expect(t, s, 0, prio) }))
				// Do undoes what work does to the thread.
				must(t, s.Clear(0))
			}))
			after, err := s.Get(0)
			must(t, err)
			if after != before {
				t.Errorf("got %+v, want %+v", after, before)
			}
		})
	})
}

func TestAnyDoReturnsAThreadAfterAPanic(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		onThread(t, func() {
			base := inForce(t, 0)
			func() {
				defer func() {
					if got := recover(); got != "on purpose" {
						t.Errorf("recovered %v", got)
					}
				}()
				must(t, s.Do(prio, func() {
					must(t, s.Do(prio, func() { panic("on purpose") }))
				}))
			}()
			expect(t, s, 0, None)
			expectInForce(t, base)
		})
	})
}

func TestAnyDoReturnsAThreadAfterGoexit(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		checked := false
		onThread(t, func() {
			base := inForce(t, 0)
			defer func() {
				expect(t, s, 0, None)
				expectInForce(t, base)
				checked = true
			}()
			must(t, s.Do(prio, runtime.Goexit))
			t.Error("Goexit returned")
		})
		if !checked {
			t.Error("the goroutine did not get to its deferred call")
		}
	})
}

// A goroutine that ends while it is locked ends its thread, so a thread that stays was
// unlocked.
func TestAnyDoUnlocksTheThread(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		for name, work := range map[string]func(){
			"return": func() {},
			"panic":  func() { panic("on purpose") },
			"Goexit": runtime.Goexit,
		} {
			// Another thread that ends only after the first one would have ended.
			release, control := make(chan bool), make(chan bool)
			go func() {
				defer close(control)
				onThread(t, func() {
					control <- true
					<-release
				})
			}()
			<-control
			tids := make(chan int)
			go func() {
				defer close(tids)
				defer func() { _ = recover() }()
				must(t, s.Do(prio, func() {
					tids <- syscall.Gettid()
					work()
				}))
			}()
			tid := <-tids
			<-tids
			release <- true
			<-control
			if !exists(tid) {
				t.Errorf("%s: the thread has ended with its goroutine", name)
			}
		}
	})
}

// When there is no way back, the thread ends with its goroutine.
func TestRootDoWithNoWayBackEndsTheThread(t *testing.T) {
	s := open(t)
	tids := make(chan int)
	go func() {
		defer close(tids)
		// Only root may return the thread to 50, and it becomes a user's during the work.
		runtime.LockOSThread()
		must(t, s.SetCurrent(50))
		runtime.UnlockOSThread()
		err := s.Do(8, func() {
			tids <- syscall.Gettid()
			becomeUser(t)
		})
		expectError(t, err, syscall.EPERM, "")
		if status, err := s.Get(0); err != nil || status.Prio != None {
			t.Errorf("left at %+v, %v", status, err)
		}
	}()
	tid := <-tids
	<-tids
	eventually(t, "the thread ends", func() bool { return !exists(tid) })
}

func TestRootDoIsNotBegunWithNoWayBack(t *testing.T) {
	s := open(t)
	onThread(t, func() {
		must(t, s.SetCurrent(50))
		becomeUser(t)
		err := s.Do(8, func() { t.Error("work was run") })
		expectError(t, err, syscall.EPERM, "not begun: cannot find a way back to priority 50 for thread")
		expectError(t, err, syscall.EPERM, "ceiling, 32")
		expect(t, s, 0, 50)
	})
}

// RLIMIT_RTPRIO allows real-time priorities, but no fair priority above the base.
func TestRootLimitLeavesAGapBelowTheCeiling(t *testing.T) {
	device := open(t)
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(rlimitRTPrio, &limit))
	must(t, syscall.Setrlimit(rlimitRTPrio, &syscall.Rlimit{Cur: 1, Max: 1}))
	defer func() { must(t, syscall.Setrlimit(rlimitRTPrio, &limit)) }()
	for backend, words := range map[Backend]string{
		Device:     "40 is below the thread's ceiling, 48, but",
		SystemCall: "not one that the thread owns",
	} {
		s := open(t, backend)
		refused := func(err error) {
			t.Helper()
			expectError(t, err, syscall.EPERM, words)
		}
		onThread(t, func() {
			must(t, device.SetCurrent(40))
			becomeUser(t)
			refused(s.Do(8, func() { t.Error("work was run") }))
			expect(t, device, 0, 40)
			must(t, s.Clear(0))
			refused(s.SetCurrent(40))
			refused(s.Do(40, func() { t.Error("work was run") }))
			for _, outer := range []Prio{48, 32, 20} {
				must(t, s.Do(outer, func() {
					must(t, s.Do(8, func() { expect(t, device, 0, 8) }))
					expect(t, device, 0, outer)
				}))
			}
			expect(t, device, 0, None)
		})
	}
}

func TestRootGrantsAUsersThreadACeiling(t *testing.T) {
	s := open(t)
	onThread(t, func() {
		// Before the grant, which a change of the user would end.
		becomeUser(t)
		grant := exec.Command("gosched", "ceiling", "50", strconv.Itoa(syscall.Gettid()))
		granted := make(chan error)
		// From another thread, which is root's still.
		go func() { granted <- grant.Run() }()
		must(t, <-granted)
		must(t, s.Do(50, func() {
			expect(t, s, 0, 50)
			must(t, s.Do(8, func() { expect(t, s, 0, 8) }))
			expect(t, s, 0, 50)
		}))
		expectError(t, s.Do(51, func() {}), syscall.EPERM, "ceiling, 50")
		expect(t, s, 0, None)
	})
}

// becomeUser takes all privilege from the calling thread alone, for good.
func becomeUser(t testing.TB) {
	t.Helper()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 1000, 1000, 1000); errno != 0 {
		t.Fatal(errno)
	}
}

func TestKernelThreadsAreListedByRole(t *testing.T) {
	s := open(t)
	role, err := s.NewRole("compaction", 8)
	must(t, err)
	onThread(t, func() {
		listed := func() Thread {
			t.Helper()
			threads, err := s.Threads()
			must(t, err)
			for _, thread := range threads {
				if thread.TID == syscall.Gettid() {
					return thread
				}
			}
			t.Fatal("the calling thread is not listed")
			return Thread{}
		}
		check := func(role string, source Source, prio Prio) {
			t.Helper()
			if l := listed(); l.Role != role || l.Source != source || prio != None && l.Status.Prio != prio {
				t.Fatalf("got %+v, want %q, %q, priority %v", l, role, source, prio)
			}
		}
		check("", Unknown, None)
		must(t, role.Do(func() {
			check("compaction", Declared, 8)
			must(t, s.Do(24, func() { check("", Declared, 24) }))
			check("compaction", Declared, 8)
		}))
		check("", Unknown, None)
		hint, err := role.Bind()
		must(t, err)
		check("compaction", Declared, None)
		eventually(t, "the kernel sees the role's priority", func() bool {
			prio, _ := hint.Applied()
			return prio == 8
		})
		must(t, hint.Unbind())
		check("", Unknown, None)
		// Without Unbind, the thread stays listed until its end.
		_, err = role.Bind()
		must(t, err)
	})
	threads, err := s.Threads()
	must(t, err)
	for _, thread := range threads {
		if thread.Source == Declared {
			t.Errorf("%+v", thread)
		}
	}
}

// Neither work that is refused nor work that has ended leaves an entry.
func TestAnyDoLeavesNoRole(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		role, err := s.NewRole("compaction", prio)
		must(t, err)
		onThread(t, func() {
			must(t, role.Do(func() {
				if a := s.assignedRole(syscall.Gettid()); a == nil || a.role != "compaction" {
					t.Errorf("%+v", a)
				}
			}))
			urgent, err := s.NewRole("urgent", MaxPrio)
			must(t, err)
			if err := urgent.Do(func() {}); err == nil && os.Geteuid() != 0 {
				t.Error("an unprivileged thread went to the highest priority")
			}
		})
		if left := assignments(s); left > 0 {
			t.Errorf("%d threads are left with a role", left)
		}
	})
}

func TestAnyThreadsAreListedByWhatTheSystemTells(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		comm := "/proc/self/task/" + strconv.Itoa(syscall.Gettid()) + "/comm"
		must(t, os.WriteFile(comm, []byte("decoder"), 0))
		threads, err := s.Threads()
		must(t, err)
		found := map[Source][]Thread{}
		for _, thread := range threads {
			found[thread.Source] = append(found[thread.Source], thread)
		}
		main, named, first := found[MainThread], found[ThreadName], found[StartOrder]
		if len(main) != 1 || main[0].TID != os.Getpid() || main[0].Role != "main" {
			t.Errorf("main thread: %+v", main)
		}
		if len(named) != 1 || named[0].TID != syscall.Gettid() || named[0].Role != "decoder" {
			t.Errorf("named: %+v", named)
		}
		if len(first) != 1 || first[0].Role != "sysmon" {
			t.Errorf("started first: %+v", first)
		}
	})
}
