// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import "unsafe"

// runtimeTable is what the overlay of the runtime has for this package, see
// internal/overlay/runtime/proc.go.in.
type runtimeTable struct {
	version int
	set     func(prio uint8) (before uint8)
	get     func() uint8
	follows func() bool
	follow  func(bool)
}

// runtimeTables is the runtime's own variable where the program was built with the overlay, a
// pointer to a runtimeTable. Elsewhere nobody else defines the symbol, and it is nil: the linker
// prefers the definition that has a value.
//
//go:linkname runtimeTables runtime.gprioAPI
var runtimeTables unsafe.Pointer

// goroutines is nil without the overlay.
var goroutines = (*runtimeTable)(runtimeTables)

const runtimeTableVersion = 1

// Overlay returns nil if the program was built with the overlay of Go's runtime that gives
// goroutines priorities, and otherwise an error that says why not. It matches ErrUnsupported.
func Overlay() error {
	switch {
	case goroutines == nil:
		return noOverlayFailure()
	case goroutines.version != runtimeTableVersion:
		return otherOverlayFailure(goroutines.version)
	}
	return nil
}

// SetGoroutine gives the calling goroutine a priority, or with None takes it away, and returns
// the one that the goroutine had before. Goroutines that it starts from now on start with the
// same, and so do those that a library starts for it and keeps, as for a connection of net/http.
// SetGoroutine takes the overlay, see Overlay, and neither a device nor any privilege.
//
// A goroutine below 32 is lowered: it runs when a P is not needed by a goroutine that is not. Where
// these need all of them, it gets one turn in 61, as they may wait for it. The first one that is
// lowered stops the world for a moment, for the Ps of the others.
//
// Where there is a Device, the thread follows its goroutine: the kernel runs it at the priority,
// or at the highest one that the thread may have, see Status. In place of the 32 there is then the
// priority next to what the process has without one, as 27 at nice value 5.
func SetGoroutine(prio Prio) (before Prio, err error) {
	if prio != None {
		if err := prio.check(); err != nil {
			return None, err
		}
	}
	if err := Overlay(); err != nil {
		return None, err
	}
	// The runtime has one more than the number, so that a goroutine starts with none.
	return Prio(goroutines.set(uint8(prio+1)) - 1), nil
}

// Goroutine returns the priority of the calling goroutine: None if it has none, as without the
// overlay.
func Goroutine() Prio {
	if Overlay() != nil {
		return None
	}
	return Prio(goroutines.get() - 1)
}

// Go starts work in a goroutine with a priority. Without the overlay the work runs in an
// ordinary goroutine: a program whose work must not run so asks Overlay first. It returns an
// error, and starts nothing, if prio is neither a priority nor None.
func Go(prio Prio, work func()) error {
	if prio != None {
		if err := prio.check(); err != nil {
			return err
		}
	}
	go func() {
		_, _ = SetGoroutine(prio)
		work()
	}()
	return nil
}

// byGoroutine tells whether Do of this Scheduler gives the priority to the goroutine: if it may
// run on any thread then, as all of them follow their goroutines, or nobody is asked to.
func (s *Scheduler) byGoroutine() bool {
	if Overlay() != nil {
		return false
	}
	return s.kind == NoOp || s.kind == Device && goroutines.follows() && s.device.isOpen()
}

// leaveThread has the runtime not change the calling thread any more, which the goroutine is
// locked to, so that a Hint can. It returns whether the thread has followed its goroutines.
func leaveThread() bool {
	if Overlay() != nil || !goroutines.follows() {
		return false
	}
	goroutines.follow(false)
	return true
}

// followAgain undoes what leaveThread did.
func followAgain(followed bool) {
	if followed {
		goroutines.follow(true)
	}
}
