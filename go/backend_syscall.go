// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// call is the backend SystemCall. That answers no questions; what it does not tell is
// what /proc/TID/sched shows, or else what was set here.
type call struct{ records }

func openCall() (*call, error) {
	if err := askable(); err != nil {
		return nil, err
	}
	c := &call{}
	if errno := c.probe(); errno != 0 {
		return nil, callFailure(errno)
	}
	return c, nil
}

// callFailure says why the backend cannot be opened.
func callFailure(errno syscall.Errno) error {
	switch errno {
	case syscall.EOPNOTSUPP:
		return unsupported(errno, "the kernel has go_set_schedprio(2) but no mapping "+
			"of Go priorities: load the module go_sched_class")
	case syscall.ENOSYS:
		return unsupported(errno, "the kernel has no go_set_schedprio(2), or a filter "+
			"of system calls such as a container's hides it: %v; \"gosched check\" says "+
			"what is missing", errno)
	case syscall.EBUSY:
		return refused(errno, "go_set_schedprio(2) has no say while a sched_ext scheduler runs "+
			"all threads: end that first")
	}
	return unsupported(errno, "a filter of system calls such as a container's, or a security "+
		"module, refuses go_set_schedprio(2) or sched_setparam(2): %v; allow both", errno)
}

// probe tries what the backend does, on a thread made for it, as a thread may always be
// lowered. It has nothing to do meanwhile, or it might have to wait for a CPU.
func (c *call) probe() syscall.Errno {
	tids, end := make(chan int), make(chan bool)
	defer close(end)
	go func() {
		// For good: the end of the goroutine ends the thread.
		runtime.LockOSThread()
		tids <- syscall.Gettid()
		<-end
	}()
	tid := <-tids
	errno := c.change(tid, 0, StartAtBase)
	if errno != 0 {
		return errno
	}
	r, errno := c.find(tid)
	if errno == 0 {
		errno = c.end(tid, r)
	}
	c.forget(tid, r)
	return errno
}

func setSchedprio(tid int, prio Prio, children Children) syscall.Errno {
	_, _, errno := syscall.Syscall(sysSetSchedprio, uintptr(tid), uintptr(prio), uintptr(children))
	return errno
}

// setParameter is sched_setparam(2).
func setParameter(tid int, rtPriority uint32) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETPARAM, uintptr(tid),
		uintptr(unsafe.Pointer(&rtPriority)), 0)
	return errno
}

// shown is what /proc/TID/sched shows.
type shown struct {
	prio, applied, ceiling Prio
	inherited              bool // The thread has it from the one that created it.
}

// shownOf returns what is shown of a thread; false if the kernel shows nothing, as it is
// built without CONFIG_SCHED_DEBUG.
func shownOf(tid int) (shown, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/sched")
	return parseShown(text), err == nil
}

// parseShown finds none in the text of a thread that never had a priority.
func parseShown(text []byte) shown {
	s := shown{prio: None, applied: None, ceiling: None}
	for _, line := range bytes.Split(text, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		number, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil {
			continue
		}
		switch string(bytes.TrimSpace(name)) {
		case "go_sched.prio":
			s.prio = orNone(int32(number))
		case "go_sched.applied":
			s.applied = orNone(int32(number))
		case "go_sched.ceiling":
			s.ceiling = orNone(int32(number))
		case "go_sched.last_cause":
			s.inherited = number == causeFork
		}
	}
	return s
}

// prio returns the priority that a thread has, whoever gave it.
func (c *call) prio(tid int, r *record) Prio {
	if now, ok := shownOf(tid); ok {
		return now.prio
	}
	return r.prio
}

// change gives a thread a priority.
func (c *call) change(tid int, prio Prio, children Children) syscall.Errno {
	return c.replace(tid, func(*record) (record, syscall.Errno) {
		return record{prio: prio, children: children}, 0
	}, func(record) syscall.Errno {
		return setSchedprio(tid, prio, children)
	})
}

// end ends the priority of a thread. To the kernel, what changes a thread from outside does
// so; sched_setparam(2) is told what the base has, and keeps the rest of that.
func (c *call) end(tid int, r *record) syscall.Errno {
	if c.prio(tid, r) == None {
		return 0
	}
	base, errno := getAttributes(tid)
	if errno != 0 {
		return errno
	}
	return setParameter(tid, base.rtPriority)
}

func (c *call) set(tid int, prio Prio, children Children) error {
	return callFailed(setRequest(tid, prio), c.change(tid, prio, children))
}

func (c *call) clear(tid int) error {
	r, errno := c.find(tid)
	if errno == 0 {
		errno = c.end(tid, r)
	}
	if errno == 0 {
		c.forget(tid, r)
	}
	return callFailed(clearRequest(tid), errno)
}

// callFailed says why a request failed, if it did.
func callFailed(r request, errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	why := "the thread is another user's, which takes CAP_SYS_NICE"
	if r.prio != None {
		why = fmt.Sprintf("%d is above the thread's ceiling, which \"gosched get %d\" shows and "+
			"root raises with \"gosched ceiling %d %d\", or below it and not one that the thread "+
			"owns, or the thread is another user's, which takes CAP_SYS_NICE", r.prio, r.tid, r.prio, r.tid)
	}
	return r.failed(errno, why)
}

func (c *call) get(tid int) (State, error) {
	r, errno := c.find(tid)
	if errno != 0 {
		return State{}, getRequest(tid).failed(errno, "")
	}
	now, ok := shownOf(tid)
	if !ok {
		return State{Prio: r.prio, Applied: r.prio, Ceiling: None, Children: r.children}, nil
	}
	state := State{Prio: now.prio, Applied: now.applied, Ceiling: now.ceiling}
	switch {
	case now.prio == None:
	case now.prio == r.prio:
		state.Children = r.children
	case now.inherited:
		state.Children = Inherit
	}
	return state, nil
}

// mayReturn finds out by going there, unless the kernel shows that it is possible.
func (c *call) mayReturn(tid int, before State, _ Prio) error {
	if before.Prio == None || before.Ceiling != None && before.Prio.isSurelyUpTo(before.Ceiling) {
		return nil
	}
	return callFailed(returnRequest(tid, before.Prio), c.change(tid, before.Prio, before.Children))
}
