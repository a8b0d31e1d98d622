// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import "syscall"

// setattr is the backend SchedSetattr.
type setattr struct{ records }

func openSetattr() (*setattr, error) {
	if err := askable(); err != nil {
		return nil, err
	}
	return &setattr{}, nil
}

// askable returns an error if the kernel does not tell what a thread has.
func askable() error {
	if _, errno := getAttributes(0); errno != 0 {
		return unsupported(errno, "the kernel, or a filter of system calls such as a "+
			"container's, refuses sched_getattr(2): %v; allow it", errno)
	}
	return nil
}

// setattrPermission is the rule of sched_setattr(2).
const setattrPermission = "sched_setattr(2) takes CAP_SYS_NICE, RLIMIT_NICE or RLIMIT_RTPRIO " +
	"to raise a thread, even to where it was before, and CAP_SYS_NICE for one of another user; " +
	"a kernel with go_sched lets a user bring his own threads back"

// set ignores where children are to start: fork(2) copies what sched_setattr(2) has set.
func (s *setattr) set(tid int, prio Prio, _ Children) error {
	// Its Go priority would be over for good.
	if now, ok := shownOf(tid); ok && now.prio != None {
		return refused(syscall.EBUSY, "%v: it has Go priority %v, which sched_setattr(2) would end, "+
			"and not bring back: open Device or SystemCall, or run \"gosched clear %d\" first",
			setRequest(tid, prio), now.prio, tid)
	}
	errno := s.replace(tid, func(r *record) (record, syscall.Errno) {
		base, errno := baseOf(tid, r)
		return record{prio: prio, children: Inherit, base: base}, errno
	}, func(r record) syscall.Errno {
		return setAttributes(tid, r.base.at(prio))
	})
	if errno != 0 {
		return setRequest(tid, prio).failed(errno, setattrPermission)
	}
	return nil
}

// baseOf returns what a thread has without its priority, unless that is beyond all
// priorities.
func baseOf(tid int, r *record) (*attributes, syscall.Errno) {
	if r.prio != None {
		return r.base, 0
	}
	a, errno := getAttributes(tid)
	if a.policy == schedDeadline {
		return nil, syscall.EBUSY
	}
	return &a, errno
}

func (s *setattr) clear(tid int) error {
	r, errno := s.find(tid)
	if errno == 0 && r.prio != None {
		errno = setAttributes(tid, *r.base)
	}
	if errno != 0 {
		return clearRequest(tid).failed(errno, setattrPermission)
	}
	s.forget(tid, r)
	return nil
}

func (s *setattr) get(tid int) (State, error) {
	r, errno := s.find(tid)
	if errno != 0 {
		return State{}, getRequest(tid).failed(errno, "")
	}
	return r.state(tid), nil
}

func (s *setattr) mayReturn(tid int, before State, prio Prio) error {
	r, errno := s.find(tid)
	var base *attributes
	if errno == 0 {
		base, errno = baseOf(tid, r)
	}
	if errno != 0 {
		return setRequest(tid, prio).failed(errno, "")
	}
	back := *base
	if before.Prio != None {
		back = base.at(before.Prio)
	}
	if !mayChange(base.at(prio), back) {
		return refused(syscall.EPERM, "not begun: sched_setattr(2) would not bring thread %d "+
			"back from priority %v: that takes CAP_SYS_NICE or a higher RLIMIT_NICE or "+
			"RLIMIT_RTPRIO, or a kernel with go_sched; or lower a thread for good, with "+
			"runtime.LockOSThread and SetCurrent", tid, prio)
	}
	return nil
}
