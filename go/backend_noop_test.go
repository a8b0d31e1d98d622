// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"syscall"
	"testing"
)

func TestAnyNoOpRunsWorkAsItIs(t *testing.T) {
	s, err := Open(NoOp)
	must(t, err)
	onThread(t, func() {
		base, ran := inForce(t, 0), 0
		role, err := s.NewRole("compaction", MaxPrio)
		must(t, err)
		must(t, role.Do(func() {
			ran++
			expect(t, s, 0, None)
			expectInForce(t, base)
			if a := s.assignedRole(syscall.Gettid()); a == nil || a.role != "compaction" {
				t.Errorf("%+v", a)
			}
		}))
		hint, err := role.Bind()
		must(t, err)
		hint.Set(8)
		if prio, ok := hint.Applied(); ok {
			t.Errorf("%v is in force", prio)
		}
		must(t, hint.Unbind())
		must(t, s.Set(0, 8, Inherit))
		must(t, s.Clear(0))
		expectInForce(t, base)
		expectError(t, s.Do(64, func() { ran++ }), ErrNotBegun, "0 to 63")
		if ran != 1 || assignments(s) > 0 {
			t.Errorf("work was run %d times, %d threads are left with a role", ran, assignments(s))
		}
	})
	must(t, s.Close())
}

// What may lower a thread and not raise it again is passed over: its Do would refuse.
func TestAnyNoOpTakesThePlaceOfWhatCannotReturn(t *testing.T) {
	s, err := Open(SchedSetattr, NoOp)
	must(t, err)
	returns := hasSysNice() && checkFilter(SchedSetattr, false) == nil
	if want := map[bool]Backend{true: SchedSetattr, false: NoOp}[returns]; s.Backend() != want {
		t.Errorf("%v, want %v", s.Backend(), want)
	}
	ran := false
	must(t, s.Do(8, func() { ran = true }))
	if !ran {
		t.Error("work was not run")
	}
}

func TestEachErrorOfDoSaysWhetherWorkWasRun(t *testing.T) {
	for _, err := range []error{
		fallback(t).Do(64, nil),
		notBegun{noReturnFailure(7, 8)},
		notBegun{setRequest(7, 8).failed(syscall.EPERM, "because")},
	} {
		if !errors.Is(err, ErrNotBegun) || errors.Is(err, ErrUnsupported) {
			t.Error(err)
		}
	}
	err := error(notBegun{openFailure(syscall.ENOENT, Path)})
	if !errors.Is(err, ErrNotBegun) || !errors.Is(err, ErrUnsupported) || !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
}
