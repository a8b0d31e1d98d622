// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"go_sched/gosched/internal/sys"
)

// waitApplied waits until a priority is in force for the calling thread, by its hint.
func waitApplied(t testing.TB, h *Hint, want Prio) {
	t.Helper()
	eventually(t, "priority "+want.String()+" is applied", func() bool {
		prio, ok := h.Applied()
		return prio == want && ok == (want != None)
	})
}

func TestKernelHintIsApplied(t *testing.T) {
	s := open(t)
	onThread(t, func() {
		base := inForce(t, 0)
		hint, err := s.Bind()
		must(t, err)
		for _, prio := range []Prio{8, 24, 0, 32} {
			hint.Set(prio)
			waitApplied(t, hint, prio)
			status, err := s.Get(0)
			must(t, err)
			if status.Prio != prio || status.Applied != prio || !status.Bound {
				t.Fatalf("%+v", status)
			}
			if now := inForce(t, 0); now.Policy != prio.attributes(base).Policy {
				t.Fatalf("%+v", now)
			}
		}
		hint.Clear()
		waitApplied(t, hint, None)
		hint.Set(8)
		must(t, hint.Unbind())
		expect(t, s, 0, None)
		expectInForce(t, base)
	})
}

// A thread that sleeps has a hint for more when it is told to follow.
func TestKernelHintForMoreIsFollowedByThreadThatSleeps(t *testing.T) {
	s := open(t)
	bound := make(chan *Hint)
	leave := make(chan bool)
	done := make(chan bool)
	go func() {
		defer close(done)
		hint, err := s.Bind()
		must(t, err)
		hint.Set(8)
		waitApplied(t, hint, 8)
		bound <- hint
		<-leave
		must(t, hint.Unbind())
	}()
	hint := <-bound
	tid := hint.bound.tid
	for _, prio := range []Prio{24, 32} {
		hint.Set(prio)
		must(t, hint.Follow())
		expect(t, s, tid, prio)
	}
	close(leave)
	<-done
	if err := hint.Follow(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Unbind: %v", err)
	}
}

// A goroutine that is bound stays on its thread, beside others that want it, and ends on it.
func TestAnyBoundGoroutineStaysOnItsThread(t *testing.T) {
	s, err := Open(Device, NoOp)
	must(t, err)
	var all sync.WaitGroup
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			hint, err := s.Bind()
			must(t, err)
			tid := syscall.Gettid()
			for i := 0; i < 20; i++ {
				time.Sleep(time.Millisecond)
				if now := syscall.Gettid(); now != tid {
					t.Errorf("thread %d is bound, and thread %d runs", tid, now)
					return
				}
			}
			must(t, hint.Unbind())
		}()
	}
	all.Wait()
	must(t, s.Close())
}

func TestUserHintIsLoweredToTheCeiling(t *testing.T) {
	s := open(t)
	needUser(t)
	onThread(t, func() {
		hint, err := s.Bind()
		must(t, err)
		hint.Set(MaxPrio)
		waitApplied(t, hint, 32)
		must(t, hint.Unbind())
	})
}

func TestRootHintStaysBelowTheCeiling(t *testing.T) {
	s := open(t)
	role, err := s.NewRole("timing", 50)
	must(t, err)
	onThread(t, func() {
		must(t, s.SetCurrent(50))
		hint, err := role.Bind()
		must(t, err)
		// The ceiling is that of the base, whoever stores the hint.
		waitApplied(t, hint, 32)
		must(t, hint.Unbind())
		expect(t, s, 0, 50)
	})
}

func TestKernelThreadIsBoundOnce(t *testing.T) {
	s := open(t)
	onThread(t, func() {
		hint, err := s.Bind()
		must(t, err)
		expectError(t, errorOf(s.Bind()), syscall.EBUSY, "bound already")
		expectError(t, s.Do(8, func() { t.Error("work was run") }), syscall.EBUSY, "")
		elsewhere := make(chan error)
		go func() { elsewhere <- hint.Unbind() }()
		expectError(t, <-elsewhere, syscall.EPERM, "another thread calls")
		slot := hint.bound.slot
		must(t, hint.Unbind())
		hint, err = s.Bind()
		must(t, err)
		if hint.bound.slot != slot {
			t.Errorf("slot %d was not used again, but %d", slot, hint.bound.slot)
		}
		must(t, hint.Unbind())
	})
}

// A goroutine that ends with its thread and without Unbind leaves no slot and no role.
func TestKernelEndOfAThreadFreesItsSlot(t *testing.T) {
	s := open(t)
	d := s.device
	perPage := os.Getpagesize() / sys.SlotSize
	for batch := 0; batch < 3; batch++ {
		for i := 0; i < perPage; i++ {
			onThread(t, func() {
				must(t, s.SetCurrent(16))
				hint, err := s.Bind()
				must(t, err)
				hint.Set(8)
			})
		}
		eventually(t, "the hints are collected", func() bool {
			runtime.GC()
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.hints == 0
		})
	}
	// A hint may have been collected before the end of its thread.
	d.mu.Lock()
	s.freeAbandoned()
	d.mu.Unlock()
	if left := assignments(s); left > 0 {
		t.Errorf("%d threads are left with a role", left)
	}
	if len(d.pages) != 1 {
		t.Errorf("%d slots took %d pages", perPage, len(d.pages))
	}
}

func TestKernelManySlotsTakeManyPages(t *testing.T) {
	s := open(t)
	perPage := os.Getpagesize() / sys.SlotSize
	stop, bound := make(chan bool), make(chan bool)
	for i := 0; i < perPage+1; i++ {
		go func() {
			runtime.LockOSThread()
			hint, err := s.Bind()
			must(t, err)
			hint.Set(16)
			waitApplied(t, hint, 16)
			bound <- true
			<-stop
			must(t, hint.Unbind())
			bound <- false
		}()
		<-bound
	}
	if len(s.device.pages) != 2 {
		t.Errorf("%d slots took %d pages", perPage+1, len(s.device.pages))
	}
	close(stop)
	for i := 0; i < perPage+1; i++ {
		<-bound
	}
	if s.device.hints != 0 || len(s.device.free) != 2*perPage {
		t.Errorf("%d hints, %d free slots are left", s.device.hints, len(s.device.free))
	}
}

// Unbind is called once more by a deferred call; the slot and the thread are others' by then.
func TestAnyHintThatWasUnboundHasNoEffect(t *testing.T) {
	for _, backends := range [][]Backend{{Device, NoOp}, {NoOp}} {
		s, err := Open(backends...)
		must(t, err)
		onThread(t, func() {
			runtime.LockOSThread()
			former, err := s.Bind()
			must(t, err)
			must(t, former.Unbind())
			expectError(t, former.Unbind(), os.ErrClosed, "unbound before")
			hint, err := s.Bind()
			must(t, err)
			expectError(t, former.Unbind(), os.ErrClosed, "unbound before")
			former.Set(8)
			if prio, ok := former.Applied(); ok {
				t.Errorf("priority %v is applied", prio)
			}
			if hint.slot.Load() != nil {
				hint.Set(16)
				waitApplied(t, hint, 16)
				former.Set(8)
				waitApplied(t, hint, 16)
				if s.device.hints != 1 {
					t.Errorf("%d hints are counted", s.device.hints)
				}
			}
			must(t, hint.Unbind())
			must(t, s.Close())
			former.Set(8)
			expectError(t, former.Unbind(), os.ErrClosed, "unbound before")
		})
	}
}

func TestAnyHintIsSetByAnyThread(t *testing.T) {
	for _, backends := range [][]Backend{{Device, NoOp}, {NoOp}} {
		s := open(t, backends...)
		onThread(t, func() {
			hint, err := s.Bind()
			must(t, err)
			var all sync.WaitGroup
			for i := 0; i < 4; i++ {
				all.Add(1)
				go func() {
					defer all.Done()
					for prio := Prio(16); prio <= niceZero; prio++ {
						hint.Set(prio)
						hint.Applied()
					}
				}()
			}
			all.Wait()
			must(t, hint.Unbind())
		})
	}
}
