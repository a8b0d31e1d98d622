// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
)

// checkSet sets a priority and compares what is in force.
func checkSet(t *testing.T, s *Scheduler, prio Prio, policy uint32, nice int32, rt uint32) {
	t.Helper()
	must(t, s.SetCurrent(prio))
	got := inForce(t, 0)
	if got.Policy != policy || got.Nice != nice || got.RTPriority != rt {
		t.Errorf("priority %v: %+v", prio, got)
	}
	expect(t, s, 0, prio)
}

func TestAnyFallbackMapsPriorities(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		base := inForce(t, 0)
		if base.Policy != sys.SchedOther || base.Nice != 0 {
			t.Fatalf("the tests run at nice 0, not with %+v", base)
		}
		// Downwards, which takes no privilege.
		for prio := niceZero; prio >= fairFirst; prio-- {
			checkSet(t, s, prio, sys.SchedOther, 32-int32(prio), 0)
			if got, want := inForce(t, 0).Runtime, prio.attributes(base).Runtime; got != want && base.Runtime != 0 {
				t.Errorf("priority %v: the slice is %d ns, want %d", prio, got, want)
			}
		}
		for _, prio := range []Prio{15, 8, 0} {
			checkSet(t, s, prio, sys.SchedIdle, 16, 0)
		}
		if !hasSysNice() {
			for _, err := range []error{s.SetCurrent(24), s.SetCurrent(32), s.Clear(0), s.SetCurrent(50)} {
				expectError(t, err, syscall.EPERM, "CAP_SYS_NICE")
			}
			expect(t, s, 0, 0)
			return
		}
		for prio := fairFirst; prio < rtFirst; prio++ {
			checkSet(t, s, prio, sys.SchedOther, 32-int32(prio), 0)
		}
		for prio := rtFirst; prio <= MaxPrio; prio++ {
			checkSet(t, s, prio, sys.SchedRR, -15, uint32(prio-47))
		}
		must(t, s.Clear(0))
		expect(t, s, 0, None)
		expectInForce(t, base)
	})
}

func TestAnyFallbackDoesNotBeginWhatCannotBeUndone(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		base, ran := inForce(t, 0), false
		err := s.Do(8, func() { ran = true })
		if hasSysNice() {
			must(t, err)
		} else {
			expectError(t, err, syscall.EPERM, "not begun: ")
			expectError(t, err, ErrNotBegun, "")
		}
		if ran != hasSysNice() {
			t.Errorf("work was run: %v", ran)
		}
		expectInForce(t, base)
		expect(t, s, 0, None)
	})
}

func TestAnyFallbackKeepsThreadsApart(t *testing.T) {
	s := fallback(t)
	records := &s.threads.(*setattrBackend).threadTable
	onThread(t, func() {
		tid := syscall.Gettid()
		must(t, s.SetCurrent(24))
		// As if the record were of an ended thread with the same id.
		ended := *records.cell(tid).Load()
		ended.start--
		records.cell(tid).Store(&ended)
		status, err := s.Get(0)
		must(t, err)
		if status.Prio != None {
			t.Errorf("%+v", status)
		}
		must(t, s.Clear(0))
		if got := inForce(t, 0); got.Nice != 8 {
			t.Errorf("another thread's base was given: %+v", got)
		}
	})
	// Records of ended threads are dropped.
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
		status, err := s.Get(0)
		must(t, err)
		if status.Prio != 24 || status.Applied != None {
			t.Errorf("%+v", status)
		}
	})
}

// No goroutine takes for the base what another one has set.
func TestAnyFallbackKeepsTheBaseWhenManySet(t *testing.T) {
	s := fallback(t)
	records := &s.threads.(*setattrBackend).threadTable
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
			to, err := s.target(getRequest(tid))
			must(t, err)
			if r := records.find(to); r.prio != 24 || *r.base != base {
				t.Errorf("%+v; the base is %+v", r, base)
			}
		})
	}
}

// Get reports of children what they get.
func TestAnyFallbackReportsThatChildrenInherit(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		must(t, s.Set(0, 24, StartAtBase))
		status, err := s.Get(0)
		must(t, err)
		if status.Children != Inherit {
			t.Errorf("%+v", status)
		}
		// The runtime starts a process from the calling thread.
		child := exec.Command("sleep", "60")
		must(t, child.Start())
		if got := inForce(t, child.Process.Pid); got.Nice != 8 {
			t.Errorf("the child has %+v", got)
		}
		must(t, child.Process.Kill())
		_ = child.Wait()
	})
}

func TestAnyFallbackHasNoHintsAndSaysSo(t *testing.T) {
	s := fallback(t)
	expectError(t, errorOf(s.Bind()), ErrUnsupported, "sched_setattr(2) is in use")
	must(t, s.Close())
}
