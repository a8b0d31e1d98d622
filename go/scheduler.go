// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"math"
	"sync"
	"syscall"
)

// Backend is what a Scheduler works with.
type Backend int

const (
	// Device is /dev/go_sched: all that there is.
	Device Backend = iota + 1
	// SystemCall is go_set_schedprio(2), for who may not open the device. It answers no
	// questions: Get reports what /proc/TID/sched shows. That has no ceiling of a thread
	// which never had a priority, and does not tell where children start: what this
	// Scheduler has not set itself is StartAtBase, unless the thread was created with it,
	// and Do returns a thread to just that. There are no hints, and a thread that is bound
	// to one by other means is not known to be.
	//
	// A kernel without CONFIG_SCHED_DEBUG shows nothing. Get then knows what this Scheduler
	// has set, and all other threads are taken for such without a priority: Do returns
	// them to their base.
	SystemCall
	// SchedSetattr is sched_setattr(2), on any kernel since 3.14: SCHED_IDLE for 0 to 15,
	// nice 32 - priority for 16 to 47, with a slice since 6.12, and SCHED_RR at priority
	// - 47 above. Without CAP_SYS_NICE, RLIMIT_NICE or RLIMIT_RTPRIO, what was lowered
	// stays low: Do refuses to begin, Clear fails. Priorities 0 to 15 are all the same,
	// though Get reports the one that was given. Children start at the priority of their
	// parent whatever Set was told, and Get says Inherit. There are neither ceilings nor
	// hints. Get knows what this Scheduler has set, and Clear returns a thread to what it
	// had when this Scheduler set it first. A thread with a Go priority, under a kernel
	// that shows it, is refused.
	SchedSetattr
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
	}
	return "no backend"
}

// Scheduler gives priorities to threads. Its methods may be called from any goroutine.
type Scheduler struct {
	kind    Backend
	threads interface {
		// In these a thread has an id of its own and never 0.
		set(tid int, prio Prio, children Children) error
		get(tid int) (State, error)
		clear(tid int) error
		// mayReturn returns an error if the calling thread, which is in this state,
		// could not be brought back to it from prio.
		mayReturn(tid int, before State, prio Prio) error
	}
	device *device // Nil unless kind is Device.

	// Roles of threads, see Thread: of *attribution, by id. A thread may be lowered when it
	// looks here, so there is no lock.
	roles sync.Map
}

// Open opens the first backend that works here, in the order given; without any, the
// Device. What is not given is not used: a program that wants to run where go_sched is
// not says so by giving SchedSetattr, and Backend tells what it got. A device whose
// version does not fit is an error, whatever comes after it.
func Open(backends ...Backend) (*Scheduler, error) {
	if len(backends) == 0 {
		backends = []Backend{Device}
	}
	s := &Scheduler{}
	var failures []error
	for _, s.kind = range backends {
		var err error
		switch s.kind {
		case Device:
			s.device, err = openDevice()
			s.threads = s.device
		case SystemCall:
			s.threads, err = openCall()
		case SchedSetattr:
			s.threads, err = openSetattr()
		default:
			return nil, refused(syscall.EINVAL, "%d is no backend: give Device, SystemCall "+
				"or SchedSetattr", int(s.kind))
		}
		if err == nil {
			return s, nil
		}
		if errors.Is(err, syscall.EPROTO) {
			return nil, err
		}
		failures = append(failures, err)
	}
	return nil, joined(failures)
}

// Backend tells what is used.
func (s *Scheduler) Backend() Backend { return s.kind }

// Close closes the device; without one, there is nothing to close. Priorities stay, and
// so do hints that are bound: what they are told last stays in force, but Unbind fails.
func (s *Scheduler) Close() error {
	if s.device == nil {
		return nil
	}
	return s.device.close()
}

// Set gives a thread a priority; tid is a thread id of this pid namespace, 0 is the
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
	return s.threads.set(tid, prio, children)
}

// SetCurrent gives the calling thread a priority. The goroutine is locked to it with
// runtime.LockOSThread, or what the thread runs next has the priority as well; and if it
// is to have it for a while only, Do is safer.
func (s *Scheduler) SetCurrent(prio Prio) error { return s.Set(0, prio, StartAtBase) }

// Get returns what is known of a thread; 0 is the calling one.
func (s *Scheduler) Get(tid int) (State, error) {
	tid, err := thread(tid)
	if err != nil {
		return State{}, err
	}
	return s.threads.get(tid)
}

// Clear takes a thread's priority away, which returns it to what it had before; 0 is
// the calling thread. It succeeds when there is none.
func (s *Scheduler) Clear(tid int) error {
	tid, err := thread(tid)
	if err != nil {
		return err
	}
	return s.threads.clear(tid)
}

// thread returns the thread that tid names.
func thread(tid int) (int, error) {
	if tid < 0 || tid > math.MaxInt32 {
		return 0, refused(syscall.EINVAL, "%d is not a thread id: they are positive, and 0 is "+
			"the calling thread", tid)
	}
	if tid == 0 {
		tid = syscall.Gettid()
	}
	return tid, nil
}
