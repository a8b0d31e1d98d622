// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"testing"
)

func withoutOverlay(t *testing.T) {
	t.Helper()
	if Overlay() == nil {
		t.Skip("these tests were built with the overlay")
	}
}

func TestAnyGoroutineHasNoPriorityWithoutTheOverlay(t *testing.T) {
	withoutOverlay(t)
	expectError(t, Overlay(), ErrUnsupported, "gosched-overlay")
	for _, prio := range []Prio{0, 8, 32, MaxPrio, None} {
		before, err := SetGoroutine(prio)
		expectError(t, err, ErrUnsupported, "gosched-overlay")
		if before != None || Goroutine() != None {
			t.Errorf("the priority was %v, and is %v", before, Goroutine())
		}
	}
}

func TestAnyWorkRunsWithoutTheOverlay(t *testing.T) {
	withoutOverlay(t)
	ran := make(chan Prio)
	for _, prio := range []Prio{8, 40, None} {
		must(t, Go(prio, func() { ran <- Goroutine() }))
		if got := <-ran; got != None {
			t.Errorf("it ran at %v", got)
		}
	}
}

func TestAnyInvalidPriorityOfAGoroutineIsRefused(t *testing.T) {
	for _, prio := range []Prio{MaxPrio + 1, None - 1} {
		before, err := SetGoroutine(prio)
		if err == nil || before != None || errors.Is(err, ErrUnsupported) || Goroutine() != None {
			t.Errorf("%v: it was %v, and is %v: %v", uint8(prio), before, Goroutine(), err)
		}
		if err := Go(prio, func() { panic("it was started") }); err == nil {
			t.Error("no error")
		}
	}
}
