// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"syscall"

	"go_sched/gosched/internal/sys"
)

// setattrBackend is the backend SchedSetattr.
type setattrBackend struct{ threadTable }

func openSetattr() (*setattrBackend, error) {
	if err := checkProc(); err != nil {
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

// set ignores where children are to start: fork(2) copies what sched_setattr(2) has set.
func (b *setattrBackend) set(tid int, prio Prio, _ Children) error {
	// sched_setattr(2) would end a Go priority for good.
	if now, ok := readProcSched(tid); ok && now.prio != None {
		return goPriorityFailure(setRequest(tid, prio), now.prio)
	}
	errno := b.replace(tid, func(r *record) (record, syscall.Errno) {
		base, errno := baseOf(tid, r)
		return record{prio: prio, children: Inherit, base: base}, errno
	}, func(r record) syscall.Errno {
		return change(tid, prio.attributes(*r.base))
	})
	if errno != 0 {
		return setRequest(tid, prio).failed(errno, setattrPermission)
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

func (b *setattrBackend) clear(tid int) error {
	r, errno := b.find(tid)
	if errno == 0 && r.prio != None {
		errno = change(tid, *r.base)
	}
	if errno != 0 {
		return clearRequest(tid).failed(errno, setattrPermission)
	}
	b.forget(tid, r)
	return nil
}

func (b *setattrBackend) get(tid int) (State, error) {
	r, errno := b.find(tid)
	if errno != 0 {
		return State{}, getRequest(tid).failed(errno, "")
	}
	state := State{Prio: r.prio, Applied: None, Ceiling: None, Children: r.children}
	if r.prio == None {
		return state, nil
	}
	if now, errno := sys.GetAttr(tid); errno == 0 && r.prio.matches(now) {
		state.Applied = r.prio
	}
	return state, nil
}

func (b *setattrBackend) mayReturn(tid int, before State, prio Prio) error {
	r, errno := b.find(tid)
	var base *sys.SchedAttr
	if errno == 0 {
		base, errno = baseOf(tid, r)
	}
	if errno != 0 {
		return setRequest(tid, prio).failed(errno, "")
	}
	back := *base
	if before.Prio != None {
		back = before.Prio.attributes(*base)
	}
	if !mayChange(prio.attributes(*base), back) {
		return noReturnFailure(tid, prio)
	}
	return nil
}
