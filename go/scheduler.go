// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// Backend is what a Scheduler sets priorities with.
type Backend int

const (
	// Device is /dev/go_sched, the only backend with all features.
	Device Backend = iota + 1
	// SystemCall is go_set_schedprio(2), for users who may not open the device. It has no
	// hints. Get returns what /proc/TID/sched shows, which has no ceiling for a thread that
	// never had a priority, and does not tell Children. For a priority that this Scheduler
	// has not set, Get reports Inherit if the thread inherited it, or else StartAtBase, and
	// Do returns a thread to that. A thread that is bound to a hint is not known to be.
	//
	// A kernel without CONFIG_SCHED_DEBUG shows nothing. Then Get returns what this
	// Scheduler has set, and all other threads count as threads without a priority: Do
	// returns them to their base.
	SystemCall
	// SchedSetattr is sched_setattr(2), on any kernel since 3.14. It maps 0 to 15 to
	// SCHED_IDLE; 16 to 47 to nice 32 - priority, with a slice since 6.12; and 48 to 63 to
	// SCHED_RR at priority - 47. There are neither ceilings nor hints.
	//
	// Without CAP_SYS_NICE, RLIMIT_NICE or RLIMIT_RTPRIO, a thread that was lowered stays
	// low: Do refuses to begin, and Clear fails. Priorities 0 to 15 are the same, though
	// Get returns the one that was set. Children always start at the priority of their
	// parent, and Get says Inherit. Get returns what this Scheduler has set, and Clear
	// returns a thread to what it had when this Scheduler set it first. A thread with a Go
	// priority is refused under a kernel that shows it.
	SchedSetattr
	// NoOp does nothing, on any system: work runs without a priority, hints are read by
	// nobody, and Get returns None. It always opens, so it is the last backend of a program
	// whose work matters more than its priority. A SchedSetattr before it is opened only if
	// the calling thread may raise itself again, as Do would refuse to begin without that, and
	// only without a filter of system calls: see Open.
	NoOp
)

// String returns the name of the device or the system call.
func (b Backend) String() string {
	switch b {
	case Device:
		return Path
	case SystemCall:
		return "go_set_schedprio(2)"
	case SchedSetattr:
		return "sched_setattr(2)"
	case NoOp:
		return "no priorities"
	}
	return "no backend"
}

// Scheduler gives priorities to threads. Its methods may be called from any goroutine.
type Scheduler struct {
	kind    Backend
	threads interface {
		// maySet returns an error if the thread is one to be left alone.
		maySet(to target, prio Prio) error
		// set and clear take no descriptor, so that Do returns a thread when none is left.
		set(to target, prio Prio, children Children) error
		clear(to target) error
		get(to target) (Status, error)
		// mayReturn returns an error if the calling thread could not be brought back from
		// prio to the status before, in which it is.
		mayReturn(to target, before Status, prio Prio) error
	}
	device *device // Nil unless kind is Device.

	// Roles of threads: of *assignment, by id. There is no lock, as a thread that is lowered
	// would hold it for long.
	roles sync.Map
}

// Open opens the first of the backends that works here; without arguments, the Device. It
// uses no other backend than those: a program that shall run without go_sched too ends with
// SchedSetattr or NoOp, and asks Backend which one it got. A device with another ABI version
// is an error, whatever comes after it.
//
// Under a filter of system calls, which a container or a service may have, Open passes
// SystemCall and SchedSetattr over unless they are the last backend. A filter may end a program
// that makes a call which the filter does not know, and only the call itself would tell.
func Open(backends ...Backend) (*Scheduler, error) {
	if len(backends) == 0 {
		backends = []Backend{Device}
	}
	s := &Scheduler{}
	var failures []error
	for i, kind := range backends {
		var err error
		s.kind = kind
		last := i == len(backends)-1
		switch {
		case kind < Device || kind > NoOp:
			return nil, refused(syscall.EINVAL, "%d is no backend: give Device, SystemCall, "+
				"SchedSetattr or NoOp", int(kind))
		case kind == NoOp:
			s.threads = noOp{}
		case !sys.Linux:
			err = elsewhereFailure(kind.String(), runtime.GOOS)
		case kind == Device:
			s.device, err = openDevice()
			s.threads = s.device
		case kind == SystemCall:
			s.threads, err = openSyscall(last)
		case kind == SchedSetattr:
			s.threads, err = openSetattr(last)
			if err == nil && endsWithNoOp(backends) && !mayRaise() {
				continue
			}
		}
		if err == nil {
			return s, nil
		}
		if errors.Is(err, syscall.EPROTO) {
			return nil, err
		}
		failures = append(failures, err)
	}
	return nil, joinFailures(failures)
}

func endsWithNoOp(backends []Backend) bool { return backends[len(backends)-1] == NoOp }

// Backend returns the backend in use.
func (s *Scheduler) Backend() Backend { return s.kind }

// Close closes the device, and does nothing with another backend. Priorities stay. So do
// hints that are bound: Set works on, but Unbind fails.
func (s *Scheduler) Close() error {
	if s.device == nil {
		return nil
	}
	return s.device.close()
}

// Set gives a thread a priority. The tid is a thread id of this pid namespace, or 0 for the
// calling thread. After an error nothing has changed.
func (s *Scheduler) Set(tid int, prio Prio, children Children) error {
	if err := prio.check(); err != nil {
		return err
	}
	if children&^Inherit != 0 {
		return refused(syscall.EINVAL, "unknown flags %#x: give StartAtBase or Inherit", uint32(children))
	}
	tid, err := thread(tid)
	if err != nil {
		return err
	}
	to, err := s.target(setRequest(tid, prio))
	if err != nil {
		return err
	}
	if err := s.threads.maySet(to, prio); err != nil {
		return err
	}
	return s.threads.set(to, prio, children)
}

// SetCurrent gives the calling thread a priority. The goroutine should be locked to the
// thread with runtime.LockOSThread: without that, the next goroutine on the thread has the
// priority too. For a priority that ends, Do is safer.
func (s *Scheduler) SetCurrent(prio Prio) error { return s.Set(0, prio, StartAtBase) }

// Get returns the status of a thread, 0 for the calling one.
func (s *Scheduler) Get(tid int) (Status, error) {
	tid, err := thread(tid)
	if err != nil {
		return Status{}, err
	}
	to, err := s.target(getRequest(tid))
	if err != nil {
		return Status{}, err
	}
	return s.threads.get(to)
}

// Clear ends the priority of a thread, 0 for the calling one, which returns the thread to
// its base. Clear succeeds if there is no priority.
func (s *Scheduler) Clear(tid int) error {
	tid, err := thread(tid)
	if err != nil {
		return err
	}
	to, err := s.target(clearRequest(tid))
	if err != nil {
		return err
	}
	return s.threads.clear(to)
}

// target is a thread, as the backends take it.
type target struct {
	tid   int    // That of the calling thread is its own here, never 0.
	start uint64 // See startTime. It is 0 with a backend that keeps no records of threads.
}

// target returns the thread of a request.
func (s *Scheduler) target(r request) (target, error) {
	to := target{tid: r.tid}
	if s.kind != SystemCall && s.kind != SchedSetattr {
		return to, nil
	}
	err := checkProc()
	if err == nil {
		to.start, err = startTime(r.tid)
	}
	return to, r.unread(err)
}

// thread returns the id of the thread that tid names, which is never 0.
func thread(tid int) (int, error) {
	if tid < 0 || tid > math.MaxInt32 {
		return 0, refused(syscall.EINVAL, "%d is not a thread id: they are positive, and 0 is "+
			"the calling thread", tid)
	}
	if tid == 0 {
		tid = sys.Gettid()
	}
	return tid, nil
}
