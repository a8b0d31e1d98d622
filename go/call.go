// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"fmt"
	"runtime"
	"syscall"
)

// call is the backend SystemCall. As that does not tell what a thread had before, it
// keeps it.
type call struct{ records }

func openCall() (*call, error) {
	if err := askable(); err != nil {
		return nil, err
	}
	if errno := probe(); errno == syscall.EOPNOTSUPP {
		return nil, unsupported(errno, "the kernel has go_set_schedprio(2) but no mapping "+
			"of Go priorities: load the module go_sched_class")
	} else if errno != 0 {
		return nil, unsupported(errno, "the kernel has no go_set_schedprio(2), or a filter "+
			"of system calls such as a container's hides it: %v; \"gosched check\" says "+
			"what is missing", errno)
	}
	return &call{}, nil
}

// probe tries the system call, which answers no questions, on a thread made for it. A
// thread may always be lowered.
func probe() syscall.Errno {
	answer := make(chan syscall.Errno)
	go func() {
		// For good: the end of the goroutine ends the thread.
		runtime.LockOSThread()
		base, _ := getAttributes(0)
		errno := setSchedprio(0, 0, StartAtBase)
		if errno == 0 {
			// It is not to wait for the CPU until nobody else wants it.
			setAttributes(0, base)
		}
		answer <- errno
	}()
	return <-answer
}

func setSchedprio(tid int, prio Prio, children Children) syscall.Errno {
	_, _, errno := syscall.Syscall(sysSetSchedprio, uintptr(tid), uintptr(prio), uintptr(children))
	return errno
}

func (c *call) set(tid int, prio Prio, children Children) error {
	errno := c.replace(tid, func(r *record) (record, syscall.Errno) {
		base, errno := baseOf(tid, r)
		return record{prio: prio, children: children, base: base}, errno
	}, func(record) syscall.Errno {
		return setSchedprio(tid, prio, children)
	})
	if errno != 0 {
		return setRequest(tid, prio).failed(errno, fmt.Sprintf("%d is above the thread's ceiling, "+
			"which \"gosched get %d\" shows and root raises with \"gosched ceiling %d %d\", or it "+
			"is another user's, which takes CAP_SYS_NICE", prio, tid, prio, tid))
	}
	return nil
}

func (c *call) clear(tid int) error {
	r, errno := c.find(tid)
	if errno == 0 && r.prio != None {
		// To the kernel this is a change from outside, which ends a Go priority. It is
		// judged against the base, and that is asked for.
		errno = setAttributes(tid, *r.base)
	}
	if errno != 0 {
		return clearRequest(tid).failed(errno, setattrPermission)
	}
	c.forget(tid, r)
	return nil
}

func (c *call) get(tid int) (State, error) {
	r, errno := c.find(tid)
	if errno != 0 {
		return State{}, getRequest(tid).failed(errno, "")
	}
	return r.state(tid), nil
}

func (c *call) mayReturn(int, State, Prio) error { return nil }
