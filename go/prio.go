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

// MarshalJSON writes the number, or null for None, as the command's --json does.
func (p Prio) MarshalJSON() ([]byte, error) {
	if p == None {
		return []byte("null"), nil
	}
	return []byte(p.String()), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Prio) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*p = None
		return nil
	}
	number, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil || Prio(number) > MaxPrio {
		return noPriorityFailure(string(text))
	}
	*p = Prio(number)
	return nil
}

// MarshalText writes the number, or "none".
func (p Prio) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// check returns an error unless p is a priority.
func (p Prio) check() error {
	if p > MaxPrio {
		return noPriorityFailure(strconv.Itoa(int(p)))
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

// String returns "start at base" or "inherit".
func (c Children) String() string {
	if c&Inherit != 0 {
		return "inherit"
	}
	return "start at base"
}

// MarshalText writes what String returns.
func (c Children) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *Children) UnmarshalText(text []byte) error {
	switch string(text) {
	case StartAtBase.String():
		*c = StartAtBase
	case Inherit.String():
		*c = Inherit
	default:
		return refused(syscall.EINVAL, "%q is neither %q nor %q", text, StartAtBase, Inherit)
	}
	return nil
}

// Status is what Get returns of a thread.
type Status struct {
	// Prio is the priority that the last change asked for, or None.
	Prio Prio `json:"priority"`
	// Applied is the priority in force, or None. It differs from Prio while the kernel has
	// not seen a hint; while the kernel holds a runaway thread at what the thread owns; and,
	// with another backend than Device, after somebody else changed the thread. With
	// SchedSetattr, 0 to 15 are the same.
	Applied Prio `json:"applied"`
	// Ceiling is the highest priority that the thread may be moved to without privilege,
	// or None if the backend does not tell. If it is in the rt band only because of
	// RLIMIT_RTPRIO, fair priorities above the thread's nice value take privilege.
	Ceiling Prio `json:"ceiling"`
	// Children says where threads and processes start that the thread creates.
	Children Children `json:"children"`
	// Bound tells whether the thread is bound to a hint.
	Bound bool `json:"bound"`
}
