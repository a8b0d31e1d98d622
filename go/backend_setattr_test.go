// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// setsAsAsked compares what Set did with what is in force.
func setsAsAsked(t *testing.T, s *Scheduler, prio Prio, policy uint32, nice int32, rt uint32) {
	t.Helper()
	must(t, s.SetCurrent(prio))
	got := inForce(t, 0)
	if got.policy != policy || got.nice != nice || got.rtPriority != rt {
		t.Errorf("priority %v: %+v", prio, got)
	}
	expect(t, s, 0, prio)
}

func TestAnyFallbackMapsPriorities(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		base := inForce(t, 0)
		if base.policy != schedOther || base.nice != 0 {
			t.Fatalf("the tests run at nice 0, not with %+v", base)
		}
		// Downwards, which takes no privilege.
		for prio := niceZero; prio >= fairFirst; prio-- {
			setsAsAsked(t, s, prio, schedOther, 32-int32(prio), 0)
			if got, want := inForce(t, 0).runtime, base.at(prio).runtime; got != want && base.runtime != 0 {
				t.Errorf("priority %v: the slice is %d ns, want %d", prio, got, want)
			}
		}
		for _, prio := range []Prio{15, 8, 0} {
			setsAsAsked(t, s, prio, schedIdle, 16, 0)
		}
		if !hasSysNice() {
			for _, err := range []error{s.SetCurrent(24), s.SetCurrent(32), s.Clear(0), s.SetCurrent(50)} {
				if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_NICE") {
					t.Error(err)
				}
			}
			expect(t, s, 0, 0)
			return
		}
		for prio := fairFirst; prio < rtFirst; prio++ {
			setsAsAsked(t, s, prio, schedOther, 32-int32(prio), 0)
		}
		for prio := rtFirst; prio <= MaxPrio; prio++ {
			setsAsAsked(t, s, prio, schedRR, -15, uint32(prio-47))
		}
		must(t, s.Clear(0))
		expect(t, s, 0, None)
		if got := inForce(t, 0); got != base {
			t.Errorf("got %+v, want %+v", got, base)
		}
	})
}

func TestAnyFallbackDoesNotBeginWhatCannotBeUndone(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		base, ran := inForce(t, 0), false
		err := s.Do(8, func() { ran = true })
		if hasSysNice() {
			must(t, err)
		} else if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "not begun") {
			t.Error(err)
		}
		if ran != hasSysNice() {
			t.Errorf("work was run: %v", ran)
		}
		if got := inForce(t, 0); got != base {
			t.Errorf("got %+v, want %+v", got, base)
		}
		expect(t, s, 0, None)
	})
}

func TestAnyFallbackKeepsThreadsApart(t *testing.T) {
	s := fallback(t)
	records := &s.threads.(*setattr).records
	onThread(t, func() {
		tid := syscall.Gettid()
		must(t, s.SetCurrent(24))
		// As if the id were that of a thread that has ended since.
		ended := *records.cell(tid).Load()
		ended.start--
		records.cell(tid).Store(&ended)
		state, err := s.Get(0)
		must(t, err)
		if state.Prio != None {
			t.Errorf("%+v", state)
		}
		must(t, s.Clear(0))
		if got := inForce(t, 0); got.nice != 8 {
			t.Errorf("another thread's base was given: %+v", got)
		}
	})
	// Records of threads that have ended do not pile up.
	for i := 0; i < 130; i++ {
		onThread(t, func() { must(t, s.SetCurrent(24)) })
	}
	if count := records.count.Load(); count > 70 {
		t.Errorf("%d records", count)
	}
}

func TestAnyFallbackSeesWhatOthersDid(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		must(t, s.SetCurrent(24))
		must(t, syscall.Setpriority(syscall.PRIO_PROCESS, 0, 12))
		state, err := s.Get(0)
		must(t, err)
		if state.Prio != 24 || state.Applied != None {
			t.Errorf("%+v", state)
		}
	})
}

// What one goroutine has set is not what another one takes for the base.
func TestAnyFallbackKeepsTheBaseWhenManySet(t *testing.T) {
	s := fallback(t)
	records := &s.threads.(*setattr).records
	for i := 0; i < 20; i++ {
		onThread(t, func() {
			tid, base := syscall.Gettid(), inForce(t, 0)
			var all sync.WaitGroup
			for i := 0; i < 8; i++ {
				all.Add(1)
				go func() {
					defer all.Done()
					if err := s.Set(tid, 24, StartAtBase); err != nil {
						t.Error(err)
					}
				}()
			}
			all.Wait()
			r, errno := records.find(tid)
			if errno != 0 || r.prio != 24 || *r.base != base {
				t.Errorf("%+v, %v; the base is %+v", r, errno, base)
			}
		})
	}
}

// A thread that is lowered may stop there for long, and nobody is to wait for it.
func TestNobodyWaitsForALoweredThread(t *testing.T) {
	var r records
	next := func(*record) (record, syscall.Errno) { return record{prio: 8}, 0 }
	done := make(chan bool)
	onThread(t, func() {
		tid := syscall.Gettid()
		errno := r.replace(tid, next, func(record) syscall.Errno {
			// As if the kernel let others run from here on.
			go func() {
				defer close(done)
				runtime.LockOSThread()
				other := syscall.Gettid()
				if errno := r.replace(other, next, func(record) syscall.Errno { return 0 }); errno != 0 {
					t.Error(errno)
				}
				for _, tid := range []int{tid, other} {
					if found, errno := r.find(tid); errno != 0 || found.prio != 8 {
						t.Errorf("%+v, %v", found, errno)
					}
				}
				r.dropEnded()
			}()
			<-done
			return syscall.EPERM
		})
		if errno != syscall.EPERM {
			t.Error(errno)
		}
		// What was refused is not kept.
		if found, _ := r.find(tid); found.prio != None {
			t.Errorf("%+v", found)
		}
	})
}

// What it says of children is what they get.
func TestAnyFallbackReportsThatChildrenInherit(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		must(t, s.Set(0, 24, StartAtBase))
		state, err := s.Get(0)
		must(t, err)
		if state.Children != Inherit {
			t.Errorf("%+v", state)
		}
		// The runtime starts processes from the thread that asks.
		child := exec.Command("sleep", "60")
		must(t, child.Start())
		if got := inForce(t, child.Process.Pid); got.nice != 8 {
			t.Errorf("the child has %+v", got)
		}
		must(t, child.Process.Kill())
		_ = child.Wait()
	})
}

func TestAnyFallbackHasNoHintsAndSaysSo(t *testing.T) {
	s := fallback(t)
	if _, err := s.Bind(); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "sched_setattr(2) is in use") {
		t.Error(err)
	}
	must(t, s.Close())
}

func TestStartTimeTellsThreadsApart(t *testing.T) {
	start, err := startTime(os.Getpid())
	must(t, err)
	// In ticks of 1/100 s, which is what the kernel tells user space on all machines.
	text, err := os.ReadFile("/proc/uptime")
	must(t, err)
	seconds, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	must(t, err)
	if now := uint64(seconds / (10 * time.Millisecond)); start == 0 || start > now+1 {
		t.Errorf("this process started at %d, it is %d", start, now)
	}
}

// Clear ends a Go priority so, and nothing else is to change.
func TestAnyThreadKeepsWhatItsParameterDoesNotSay(t *testing.T) {
	onThread(t, func() {
		must(t, syscall.Setpriority(syscall.PRIO_PROCESS, 0, 7))
		before := inForce(t, 0)
		if errno := setParameter(0, 3); errno != syscall.EINVAL {
			t.Errorf("a real-time priority of an ordinary thread: %v", errno)
		}
		if errno := setParameter(syscall.Gettid(), 0); errno != 0 {
			t.Error(errno)
		}
		if now := inForce(t, 0); now != before {
			t.Errorf("got %+v, want %+v", now, before)
		}
	})
}

func TestWhatTheKernelShowsIsRead(t *testing.T) {
	// As proc_sched_show_task() writes it, of a thread whose name is meant to deceive.
	text := "\ngo_sched.prio  (4711, #threads: 7)\n" +
		"-------------------------------------------------------------------\n" +
		"se.exec_start                                :        123456.789012\n" +
		"prio                                         :                  128\n"
	if got := parseShown([]byte(text)); got != (shown{None, None, None, false}) {
		t.Errorf("without a record: %+v", got)
	}
	add := func(name string, value int) { text += fmt.Sprintf("%-45s:%21d\n", name, value) }
	add("go_sched.prio", 50)
	add("go_sched.applied", 47)
	add("go_sched.ceiling", 63)
	add("go_sched.applies", 9)
	add("go_sched.last_cause", 8)
	if got := parseShown([]byte(text)); got != (shown{50, 47, 63, false}) {
		t.Errorf("%+v", got)
	}
	add("go_sched.prio", -1)
	add("go_sched.last_cause", 4)
	if got := parseShown([]byte(text)); got != (shown{None, 47, 63, true}) {
		t.Errorf("%+v", got)
	}
}

func TestCallFailureTellsCausesApart(t *testing.T) {
	for _, test := range []struct {
		errno       syscall.Errno
		words       string
		unsupported bool
	}{
		{syscall.EOPNOTSUPP, "load the module", true},
		{syscall.ENOSYS, "the kernel has no go_set_schedprio(2)", true},
		{syscall.EPERM, "a filter of system calls", true},
		{syscall.EBUSY, "sched_ext scheduler", false},
	} {
		err := callFailure(test.errno)
		if !strings.Contains(err.Error(), test.words) || !errors.Is(err, test.errno) ||
			errors.Is(err, ErrUnsupported) != test.unsupported {
			t.Errorf("%v: %v", test.errno, err)
		}
	}
}
