// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Path is where the device is.
const Path = "/dev/go_sched"

// device is the open device.
type device struct {
	// Held for reading by each request, so that none goes to a file that has the
	// descriptor after close.
	open sync.RWMutex
	fd   int // -1 once it is closed, which takes both mutexes.

	mu sync.Mutex // Guards what follows; taken before open.
	// The hint pages mapped so far, in the order of their slots.
	pages [][]byte
	// Slots of these pages that no thread is bound to.
	free []uint32
	// Hints that were dropped without Unbind: their slots are free once their threads
	// have ended.
	dropped []boundSlot
	hints   int // How many there are that can still be stored to.
}

// boundSlot is a slot that a thread is bound to, or was until its end.
type boundSlot struct {
	slot   uint32
	tid    int
	listed *attribution // What the thread is listed as because of that.
}

// openDevice opens the device of the loaded module.
func openDevice() (*device, error) {
	fd, err := syscall.Open(Path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, openFailure(err.(syscall.Errno))
	}
	version, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), requestVersion, 0)
	switch {
	case errno == syscall.ENOTTY:
		err = refused(errno, "%s is not the device of the module go_sched_class: remove it, "+
			"and load the module", Path)
	case errno != 0:
		err = refused(errno, "%s does not tell its version: %v", Path, errno)
	case version != abiVersion:
		err = versionFailure(int(version))
	default:
		return &device{fd: fd}, nil
	}
	syscall.Close(fd)
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
	err := syscall.Close(d.fd)
	d.fd = -1
	d.unmapIfUnused()
	return os.NewSyscallError("close", err)
}

// unmapIfUnused unmaps the pages once the device is closed and nobody can store to them.
// The caller holds the mutex.
func (d *device) unmapIfUnused() {
	if d.fd >= 0 || d.hints > 0 {
		return
	}
	for _, page := range d.pages {
		// It fails for what is not mapped only.
		_ = syscall.Munmap(page)
	}
	d.pages = nil
}

// request issues a request. EBADF: the device was closed.
func (d *device) request(number uintptr, argument unsafe.Pointer) syscall.Errno {
	d.open.RLock()
	defer d.open.RUnlock()
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(d.fd), number, uintptr(argument))
	return errno
}

// failed says why a request failed.
func (d *device) failed(r request, errno syscall.Errno) error {
	if errno == syscall.EBADF {
		return fmt.Errorf("%w: %v: open it anew", os.ErrClosed, r)
	}
	why := ""
	if errno == syscall.EPERM {
		why = d.permission(r)
	}
	return r.failed(errno, why)
}

// permission says which rule refuses a request, as far as the thread's state tells.
func (d *device) permission(r request) string {
	answer, errno := d.ask(r.tid)
	if errno != 0 {
		return notPermitted
	}
	return r.permission(orNone(answer.ceiling), answer.baseNice)
}

const notPermitted = "the thread is another user's, which takes CAP_SYS_NICE, or the kernel's own, " +
	"which has no Go priority"

// permission says which rule refuses a request for a thread with this ceiling and base.
func (r request) permission(ceiling Prio, baseNice int32) string {
	switch {
	case r.prio == None:
	case r.prio > ceiling:
		return fmt.Sprintf("%d is above the thread's ceiling, %d; unless it is a kernel thread, "+
			"root raises that with \"gosched ceiling %d %d\", and CAP_SYS_NICE, RLIMIT_NICE "+
			"or RLIMIT_RTPRIO lift it", r.prio, ceiling, r.prio, r.tid)
	case !r.prio.isSurelyUpTo(ceiling) && int32(niceZero)-int32(r.prio) < baseNice:
		return fmt.Sprintf("%d is below the thread's ceiling, %d, but its nice value is not one that "+
			"the thread owns: CAP_SYS_NICE or RLIMIT_NICE lift that, and root does with \"gosched "+
			"ceiling %d %d\", unless the thread is another user's", r.prio, ceiling, ceiling, r.tid)
	}
	return notPermitted
}

func (d *device) set(tid int, prio Prio, children Children) error {
	return d.setFor(setRequest(tid, prio), children)
}

// setFor gives a thread the priority of a request, whose words an error has.
func (d *device) setFor(r request, children Children) error {
	argument := setArgument{flags: uint32(children), target: int32(r.tid), prio: uint32(r.prio)}
	argument.size = uint32(unsafe.Sizeof(argument))
	if errno := d.request(requestSet, unsafe.Pointer(&argument)); errno != 0 {
		return d.failed(r, errno)
	}
	return nil
}

func (d *device) clear(tid int) error {
	argument := clearArgument{target: int32(tid)}
	argument.size = uint32(unsafe.Sizeof(argument))
	if errno := d.request(requestClear, unsafe.Pointer(&argument)); errno != 0 {
		return d.failed(clearRequest(tid), errno)
	}
	return nil
}

func (d *device) get(tid int) (State, error) {
	answer, errno := d.ask(tid)
	if errno != 0 {
		return State{}, d.failed(getRequest(tid), errno)
	}
	return State{
		Prio:     orNone(answer.prio),
		Applied:  orNone(answer.applied),
		Ceiling:  orNone(answer.ceiling),
		Children: Children(answer.flags) & Inherit,
		Bound:    answer.slot >= 0,
	}, nil
}

// ask returns all that the device tells of a thread.
func (d *device) ask(tid int) (getArgument, syscall.Errno) {
	argument := getArgument{target: int32(tid)}
	argument.size = uint32(unsafe.Sizeof(argument))
	errno := d.request(requestGet, unsafe.Pointer(&argument))
	return argument, errno
}

func orNone(prio int32) Prio {
	if prio == prioNone {
		return None
	}
	return Prio(prio)
}

// mayReturn finds out by going there, where the ceiling does not tell: the thread is at that
// priority now.
func (d *device) mayReturn(tid int, before State, _ Prio) error {
	if before.Prio == None || before.Prio.isSurelyUpTo(before.Ceiling) {
		return nil
	}
	return d.setFor(returnRequest(tid, before.Prio), before.Children)
}
