// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"math/rand"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go_sched/gosched/internal/testenv"
)

func TestKernelSetsGetsAndClears(t *testing.T) {
	s := open(t)
	if s.Backend() != Device {
		t.Fatal(s.Backend())
	}
	onThread(t, func() {
		base := inForce(t, 0)
		for _, prio := range []Prio{0, 8, 15, 16, 24, 32} {
			for _, children := range []Children{StartAtBase, Inherit} {
				must(t, s.Set(0, prio, children))
				status, err := s.Get(syscall.Gettid())
				must(t, err)
				want := Status{prio, prio, status.Ceiling, children, false}
				if status != want || status.Ceiling < 32 {
					t.Fatalf("got %+v, want %+v", status, want)
				}
				got, want2 := inForce(t, 0), prio.attributes(base)
				if prio < fairFirst {
					// The kernel gives the whole idle band nice 19 and its own slice.
					want2.Nice, want2.Runtime = got.Nice, got.Runtime
				}
				if got != want2 {
					t.Fatalf("priority %v: got %+v, want %+v", prio, got, want2)
				}
			}
		}
		must(t, s.Clear(0))
		expect(t, s, 0, None)
		must(t, s.SetCurrent(24))
		expect(t, s, 0, 24)
		must(t, s.Clear(0))
		must(t, s.Clear(0))
		expectInForce(t, base)
	})
}

func TestKernelChangesOtherThreads(t *testing.T) {
	s := open(t)
	tids, stop := make(chan int), make(chan bool)
	go func() {
		must(t, s.Do(30, func() {
			tids <- syscall.Gettid()
			<-stop
		}))
		close(tids)
	}()
	tid := <-tids
	expect(t, s, tid, 30)
	must(t, s.Set(tid, 8, Inherit))
	expect(t, s, tid, 8)
	must(t, s.Clear(tid))
	expect(t, s, tid, None)
	close(stop)
	<-tids
}

func TestKernelRefusesWhatIsNoPriorityAndNoThread(t *testing.T) {
	s := open(t)
	gone := 0
	onThread(t, func() {
		gone = syscall.Gettid()
		must(t, s.SetCurrent(24))
		for _, prio := range []Prio{64, 254, None} {
			expectError(t, s.SetCurrent(prio), syscall.EINVAL, "0 to 63")
			expectError(t, s.Do(prio, func() { t.Error("work was run") }), syscall.EINVAL, "0 to 63")
		}
		expect(t, s, 0, 24)
	})
	for _, err := range []error{s.Set(gone, 8, StartAtBase), s.Clear(gone), errorOf(s.Get(gone))} {
		expectError(t, err, syscall.ESRCH, "no such thread")
	}
	expectError(t, s.Set(-1, 8, StartAtBase), syscall.EINVAL, "")
	expectError(t, s.Set(0, 8, 4), syscall.EINVAL, "")
}

func TestKernelClosedDeviceSaysSo(t *testing.T) {
	s, err := Open()
	if err != nil {
		open(t) // Skips or fails.
	}
	onThread(t, func() {
		hint, err := s.Bind()
		must(t, err)
		must(t, s.Close())
		// The page stays mapped as long as there is a Hint.
		hint.Set(8)
		eventually(t, "the kernel sees the hint", func() bool {
			prio, _ := hint.Applied()
			return prio == 8
		})
		for _, err := range []error{s.Close(), s.SetCurrent(8), s.Clear(0), errorOf(s.Get(0)), hint.Unbind()} {
			expectError(t, err, os.ErrClosed, "")
		}
		expectError(t, errorOf(s.Bind()), os.ErrClosed, "")
	})
}

// After many calls of Do, no thread has a priority or a role.
func TestKernelConcurrentDo(t *testing.T) {
	for _, backend := range []Backend{Device, SystemCall} {
		s := open(t, backend)
		var all sync.WaitGroup
		for i := 0; i < 16; i++ {
			random := rand.New(rand.NewSource(int64(i)))
			all.Add(1)
			go func() {
				defer all.Done()
				for i := 0; i < 20; i++ {
					outer, inner := Prio(random.Intn(33)), Prio(random.Intn(33))
					must(t, s.Do(outer, func() {
						expect(t, s, 0, outer)
						must(t, s.Do(inner, func() { expect(t, s, 0, inner) }))
						expect(t, s, 0, outer)
					}))
				}
			}()
		}
		all.Wait()
		threads, err := open(t).Threads()
		must(t, err)
		for _, thread := range threads {
			if thread.Status.Prio != None || thread.Source == Declared {
				t.Errorf("%v: %+v", backend, thread)
			}
		}
		if left := assignments(s); left > 0 {
			t.Errorf("%v: %d threads are left with a role", backend, left)
		}
		if c, ok := s.threads.(*syscallBackend); ok {
			c.byTID.Range(func(tid, kept any) bool {
				if r := kept.(*cell).Load(); r != nil {
					t.Errorf("thread %v: %+v is left", tid, *r)
				}
				return true
			})
		}
	}
}

func TestUserIsToldTheCeiling(t *testing.T) {
	for _, backend := range []Backend{Device, SystemCall} {
		s := open(t, backend)
		needUser(t)
		onThread(t, func() {
			base := inForce(t, 0)
			for _, err := range []error{s.SetCurrent(50), s.Do(50, func() { t.Error("work was run") })} {
				if !errors.Is(err, syscall.EPERM) || errors.Is(err, ErrUnsupported) ||
					!strings.Contains(err.Error(), "50 is above the thread's ceiling") ||
					!strings.Contains(err.Error(), "gosched ceiling 50 ") {
					t.Fatal(err)
				}
				if backend == Device && !strings.Contains(err.Error(), "ceiling, 32;") {
					t.Fatal(err)
				}
			}
			expect(t, s, 0, None)
			expectInForce(t, base)
		})
	}
}

func TestUserMayNotTouchAnotherUsersThread(t *testing.T) {
	s := open(t)
	needUser(t)
	// Thread 1 is init, which is root's.
	for _, err := range []error{s.Set(1, 8, StartAtBase), s.Clear(1)} {
		expectError(t, err, syscall.EPERM, "another user's")
	}
}

func TestDeniedUserIsToldWhoMayOpenTheDevice(t *testing.T) {
	testenv.NeedGuest(t)
	_, err := Open()
	if !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrUnsupported) ||
		!strings.Contains(err.Error(), "mode 0600 and group id 0") {
		t.Fatal(err)
	}
	s, err := Open(Device, SystemCall, SchedSetattr)
	must(t, err)
	if s.Backend() != SystemCall {
		t.Fatal(s.Backend())
	}
	onThread(t, func() {
		base := inForce(t, 0)
		must(t, s.Do(8, func() { expect(t, s, 0, 8) }))
		expectInForce(t, base)
	})
}

func TestAbsentModuleIsUnsupported(t *testing.T) {
	testenv.NeedGuest(t)
	expectError(t, errorOf(Open()), ErrUnsupported, "insmod go_sched_class.ko")
	expectError(t, errorOf(Open()), os.ErrNotExist, "")
	expectError(t, errorOf(Open(Device, SystemCall)), ErrUnsupported, "load the module")
	s, err := Open(Device, SystemCall, SchedSetattr)
	must(t, err)
	if s.Backend() != SchedSetattr {
		t.Fatal(s.Backend())
	}
}

func needUser(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Fatal("this test is for an unprivileged user")
	}
}
