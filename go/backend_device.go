// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"os"
	"sync"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// Path is where the device is.
const Path = "/dev/go_sched"

// device is the backend Device: the open device of the module.
type device struct {
	// Held for reading by each request, so that no request goes to another file that has
	// got the descriptor after close.
	open sync.RWMutex
	fd   int // -1 once it is closed; close takes both mutexes.

	mu sync.Mutex // Guards what follows; taken before open.
	// The hint pages mapped so far, in the order of their slots.
	pages [][]sys.Slot
	// Slots of these pages that no thread is bound to.
	free []uint32
	// Bindings of hints that were collected without Unbind. Their slots are free once
	// their threads have ended.
	abandoned []binding
	hints     int // The number of hints that can still be stored to.
}

// binding is the binding of a thread to a slot.
type binding struct {
	slot uint32
	tid  int
	role *assignment // The role that the thread has because of the binding.
}

// openDevice opens the device of the loaded module.
func openDevice() (*device, error) {
	fd, errno := sys.Open(Path)
	if errno != 0 {
		return nil, openFailure(errno, Path)
	}
	version, errno := sys.Version(fd)
	var err error
	switch {
	case errno == syscall.ENOTTY:
		err = notTheDeviceFailure(errno)
	case errno != 0:
		err = noVersionFailure(errno)
	case version != sys.ABIVersion:
		err = versionFailure(version)
	default:
		return &device{fd: fd}, nil
	}
	_ = sys.Close(fd)
	return nil, err
}

func (d *device) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open.Lock()
	defer d.open.Unlock()
	if d.fd < 0 {
		return os.ErrClosed
	}
	err := sys.Close(d.fd)
	d.fd = -1
	d.unmapIfUnused()
	return err
}

func (d *device) isOpen() bool {
	d.open.RLock()
	defer d.open.RUnlock()
	return d.fd >= 0
}

// unmapIfUnused unmaps the pages once the device is closed and no hint can be stored to.
// The caller holds mu.
func (d *device) unmapIfUnused() {
	if d.fd >= 0 || d.hints > 0 {
		return
	}
	for _, page := range d.pages {
		sys.Unmap(page)
	}
	d.pages = nil
}

// request issues a request. The error EBADF says that the device is closed.
func (d *device) request(issue func(fd int) syscall.Errno) syscall.Errno {
	d.open.RLock()
	defer d.open.RUnlock()
	return issue(d.fd)
}

// failed returns the error of a request that the kernel refused.
func (d *device) failed(r request, errno syscall.Errno) error {
	switch errno {
	case syscall.EBADF:
		return closedFailure(r)
	case syscall.EPERM:
		return r.failed(errno, d.permission(r))
	}
	return r.failed(errno, "")
}

// permission names the rule that refuses a request, as far as the thread's status tells it.
func (d *device) permission(r request) string {
	answer, errno := d.ask(r.tid)
	if errno != 0 {
		return notPermitted
	}
	return r.permission(orNone(answer.Ceiling), answer.BaseNice)
}

func (d *device) maySet(target, Prio) error { return nil }

func (d *device) set(to target, prio Prio, children Children) error {
	return d.setFor(setRequest(to.tid, prio), children)
}

// setFor gives a thread the priority of a request. The request is what an error names.
func (d *device) setFor(r request, children Children) error {
	errno := d.request(func(fd int) syscall.Errno {
		return sys.Set(fd, r.tid, uint32(r.prio), uint32(children))
	})
	if errno != 0 {
		return d.failed(r, errno)
	}
	return nil
}

func (d *device) clear(to target) error {
	errno := d.request(func(fd int) syscall.Errno { return sys.Clear(fd, to.tid) })
	if errno != 0 {
		return d.failed(clearRequest(to.tid), errno)
	}
	return nil
}

func (d *device) get(of target) (Status, error) {
	answer, errno := d.ask(of.tid)
	if errno != 0 {
		return Status{}, d.failed(getRequest(of.tid), errno)
	}
	return Status{
		Prio:     orNone(answer.Prio),
		Applied:  orNone(answer.Applied),
		Ceiling:  orNone(answer.Ceiling),
		Children: Children(answer.Flags) & Inherit,
		Bound:    answer.Slot >= 0,
	}, nil
}

// ask returns all that the device tells of a thread.
func (d *device) ask(tid int) (answer sys.GetAnswer, errno syscall.Errno) {
	errno = d.request(func(fd int) (errno syscall.Errno) {
		answer, errno = sys.Get(fd, tid)
		return errno
	})
	return answer, errno
}

func orNone(prio int32) Prio {
	if prio == sys.PrioNone {
		return None
	}
	return Prio(prio)
}

// mayReturn sets the priority that the thread has now, unless the ceiling tells that it
// may be set.
func (d *device) mayReturn(to target, before Status, _ Prio) error {
	if before.Prio == None || before.Prio.surelyWithin(before.Ceiling) {
		return nil
	}
	return d.setFor(returnRequest(to.tid, before.Prio), before.Children)
}
