// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"strconv"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// Prio is a priority: 0 to MaxPrio, higher = more urgent; or None.
type Prio uint8

const (
	// MaxPrio is the most urgent priority.
	MaxPrio Prio = sys.Levels - 1
	// None stands in place of a priority where there is none.
	None Prio = sys.HintNone
)

// String returns the number, or "none".
func (p Prio) String() string {
	if p == None {
		return "none"
	}
	return strconv.Itoa(int(p))
}

// check returns an error unless p is a priority.
func (p Prio) check() error {
	if p > MaxPrio {
		return refused(syscall.EINVAL, "%d is not a priority: they are 0 to %d, and 32 is "+
			"that of an ordinary thread", uint8(p), MaxPrio)
	}
	return nil
}

// surelyWithin tells whether a thread with this ceiling surely may have p. False leaves it
// open for a fair priority below a ceiling in the rt band: if that ceiling is not granted,
// the base says which fair priorities the thread owns.
func (p Prio) surelyWithin(ceiling Prio) bool {
	return p <= ceiling && (p < fairFirst || p >= rtFirst || ceiling < rtFirst)
}

// Children says where threads and processes start that a thread with a priority creates.
// It concerns what a goroutine starts with package os/exec: the Go runtime creates no
// thread from one that a goroutine is locked to.
type Children uint32

const (
	// StartAtBase has them start without a priority.
	StartAtBase Children = 0
	// Inherit has them start at the priority of the thread that creates them.
	Inherit Children = sys.Inherit
)

// State is what Get returns of a thread.
type State struct {
	// Prio is the priority that the last change asked for, or None.
	Prio Prio
	// Applied is the priority in force, or None. It differs from Prio while the kernel has
	// not seen a hint; while the kernel holds a runaway thread at what the thread owns; and,
	// with another backend than Device, after somebody else changed the thread. With
	// SchedSetattr, 0 to 15 are the same.
	Applied Prio
	// Ceiling is the highest priority that the thread may be moved to without privilege,
	// or None if the backend does not tell. If it is in the rt band only because of
	// RLIMIT_RTPRIO, fair priorities above the thread's nice value take privilege.
	Ceiling Prio
	// Children says where threads and processes start that the thread creates.
	Children Children
	// Bound tells whether the thread is bound to a hint.
	Bound bool
}
