// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"syscall"

	"go_sched/gosched/internal/sys"
)

// setattrBackend is the backend SchedSetattr.
type setattrBackend struct{ threadTable }

// openSetattr opens the backend, if it is the last one even where that may end the program.
func openSetattr(last bool) (*setattrBackend, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	if err := checkFilter(SchedSetattr, last); err != nil {
		return nil, err
	}
	if err := tryGetattr(); err != nil {
		return nil, err
	}
	return &setattrBackend{}, nil
}

// tryGetattr returns an error if the attributes of a thread cannot be read.
func tryGetattr() error {
	if _, errno := sys.GetAttr(0); errno != 0 {
		return getattrFailure(errno)
	}
	return nil
}

// maySet refuses a thread with a Go priority, which sched_setattr(2) would end for good.
func (b *setattrBackend) maySet(to target, prio Prio) error {
	now, _, err := readProcSched(to.tid)
	if err == nil && now.prio != None {
		return goPriorityFailure(setRequest(to.tid, prio), now.prio)
	}
	return setRequest(to.tid, prio).unread(err)
}

// set ignores where children are to start: fork(2) copies what sched_setattr(2) has set.
func (b *setattrBackend) set(to target, prio Prio, _ Children) error {
	errno := b.replace(to, func(r *record) (record, syscall.Errno) {
		base, errno := baseOf(to.tid, r)
		return record{prio: prio, children: Inherit, base: base}, errno
	}, func(r record) syscall.Errno {
		return change(to.tid, prio.attributes(*r.base))
	})
	if errno != 0 {
		return setRequest(to.tid, prio).failed(errno, setattrPermission)
	}
	return nil
}

// change gives a thread attributes that it does not have: a filter of system calls may refuse
// sched_setattr(2) even where that would change nothing.
func change(tid int, want sys.SchedAttr) syscall.Errno {
	now, errno := sys.GetAttr(tid)
	if errno != 0 {
		return errno
	}
	same := want
	if now.Runtime == 0 || want.Policy == sys.SchedIdle {
		// Kernels before 6.12 neither tell nor take a slice, and none takes it for SCHED_IDLE.
		same.Runtime = now.Runtime
	}
	if now == same {
		return 0
	}
	return sys.SetAttr(tid, want)
}

// baseOf returns the attributes that a thread has without its priority. For a deadline
// thread it returns EBUSY: no priority is as urgent.
func baseOf(tid int, r *record) (*sys.SchedAttr, syscall.Errno) {
	if r.prio != None {
		return r.base, 0
	}
	a, errno := sys.GetAttr(tid)
	if a.Policy == sys.SchedDeadline {
		return nil, syscall.EBUSY
	}
	return &a, errno
}

func (b *setattrBackend) clear(to target) error {
	r := b.find(to)
	if r.prio != None {
		if errno := change(to.tid, *r.base); errno != 0 {
			return clearRequest(to.tid).failed(errno, setattrPermission)
		}
	}
	b.forget(to.tid, r)
	return nil
}

func (b *setattrBackend) get(of target) (Status, error) {
	r := b.find(of)
	status := Status{Prio: r.prio, Applied: None, Ceiling: None, Children: r.children}
	if r.prio == None {
		return status, nil
	}
	if now, errno := sys.GetAttr(of.tid); errno == 0 && r.prio.matches(now) {
		status.Applied = r.prio
	}
	return status, nil
}

func (b *setattrBackend) mayReturn(to target, before Status, prio Prio) error {
	base, errno := baseOf(to.tid, b.find(to))
	if errno != 0 {
		return setRequest(to.tid, prio).failed(errno, "")
	}
	back := *base
	if before.Prio != None {
		back = before.Prio.attributes(*base)
	}
	if !mayChange(prio.attributes(*base), back) {
		return noReturnFailure(to.tid, prio)
	}
	return nil
}
