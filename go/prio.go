// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"strconv"
	"syscall"
)

// Prio is a priority: 0 to MaxPrio, higher = more urgent; or None.
type Prio uint8

const (
	// MaxPrio is the most urgent priority.
	MaxPrio Prio = levels - 1
	// None stands in place of a priority where there is none.
	None Prio = hintNone
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

// isSurelyUpTo tells whether a thread with this ceiling may have a priority. If not, it may
// nonetheless: a ceiling in the rt band that is not granted allows no fair priority, and then
// the base says which are owned.
func (p Prio) isSurelyUpTo(ceiling Prio) bool {
	return p <= ceiling && (p < fairFirst || p >= rtFirst || ceiling < rtFirst)
}

// Children says where threads and processes start that a thread with a priority creates.
// The Go runtime creates no threads from one that a goroutine is locked to; what such a
// goroutine starts with package os/exec is meant.
type Children uint32

const (
	// StartAtBase has them start without a priority.
	StartAtBase Children = 0
	// Inherit has them start at the priority of the thread that creates them.
	Inherit Children = flagInherit
)

// State is what Get reports.
type State struct {
	// Prio is what the last change asked for, or None.
	Prio Prio
	// Applied is what is in force, or None. It differs from Prio while the kernel has
	// not seen a hint, while a thread that ran away is held at what it owns, and with a
	// backend other than Device after somebody else changed the thread. With SchedSetattr, 0 to 15 stand for one and the same.
	Applied Prio
	// Ceiling is the highest priority that the thread may be moved to without privilege.
	// One in the rt band that only RLIMIT_RTPRIO allows leaves out what is above the
	// thread's nice value in the fair one. None: the backend does not tell.
	Ceiling Prio
	// Children says where threads and processes start that the thread creates.
	Children Children

	// Bound tells whether the thread is bound to a hint.
	Bound bool
}
