// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// call is a backend that is a system call. As neither tells what a thread had before,
// it keeps that.
type call struct {
	kind Backend

	mu      sync.Mutex // Guards what follows.
	records map[int]record
	// At how many records those of threads that have ended are dropped.
	crowd int
}

// record is what is kept of a thread that has a priority.
type record struct {
	start    uint64 // Tells the thread from another one that got its id.
	base     attributes
	inForce  attributes // What came of the priority.
	prio     Prio
	children Children
}

func openCall(kind Backend) (*call, error) {
	if _, errno := getAttributes(0); errno != 0 {
		return nil, unsupported(errno, "the kernel, or a filter of system calls such as a "+
			"container's, refuses sched_getattr(2): %v; allow it", errno)
	}
	if kind == SystemCall {
		if errno := probe(); errno == syscall.EOPNOTSUPP {
			return nil, unsupported(errno, "the kernel has go_set_schedprio(2) but no mapping "+
				"of Go priorities: load the module go_sched_class")
		} else if errno != 0 {
			return nil, unsupported(errno, "the kernel has no go_set_schedprio(2), or a filter "+
				"of system calls such as a container's hides it: %v; \"gosched check\" says "+
				"what is missing", errno)
		}
	}
	return &call{kind: kind, records: map[int]record{}, crowd: 64}, nil
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
	c.mu.Lock()
	defer c.mu.Unlock()
	r, errno := c.known(tid)
	if errno == 0 && r.prio == None {
		r.base, errno = getAttributes(tid)
		if r.base.policy == schedDeadline {
			errno = syscall.EBUSY
		}
	}
	if errno == 0 {
		if c.kind == SystemCall {
			errno = setSchedprio(tid, prio, children)
		} else {
			errno = setAttributes(tid, r.base.at(prio))
		}
	}
	if errno != 0 {
		return setRequest(tid, prio).failed(errno, c.permission(tid, prio))
	}
	r.prio, r.children = prio, children
	// If the thread has just ended, nothing is in force.
	r.inForce, _ = getAttributes(tid)
	c.keep(tid, r)
	return nil
}

func (c *call) clear(tid int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, errno := c.known(tid)
	if errno == 0 && r.prio != None {
		// To the kernel this is a change from outside, which ends a Go priority. It is
		// judged against the base, and that is asked for.
		errno = setAttributes(tid, r.base)
	}
	if errno != 0 {
		return clearRequest(tid).failed(errno, c.permission(tid, None))
	}
	delete(c.records, tid)
	return nil
}

func (c *call) get(tid int) (State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, errno := c.known(tid)
	if errno != 0 {
		return State{}, getRequest(tid).failed(errno, "")
	}
	state := State{Prio: r.prio, Applied: r.prio, Ceiling: None, Children: r.children}
	if now, errno := getAttributes(tid); errno != 0 || now != r.inForce {
		state.Applied = None
	}
	return state, nil
}

func (c *call) mayReturn(tid int, before State, prio Prio) error {
	if c.kind == SystemCall {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r, errno := c.known(tid)
	if errno == 0 && r.prio == None {
		r.base, errno = getAttributes(tid)
	}
	if errno != 0 {
		return getRequest(tid).failed(errno, "")
	}
	back := r.base
	if before.Prio != None {
		back = r.base.at(before.Prio)
	}
	if !mayChange(r.base.at(prio), back) {
		return refused(syscall.EPERM, "not begun: sched_setattr(2) would not bring thread %d "+
			"back from priority %v: that takes CAP_SYS_NICE or a higher RLIMIT_NICE or "+
			"RLIMIT_RTPRIO, or a kernel with go_sched; or lower a thread for good, with "+
			"runtime.LockOSThread and SetCurrent", tid, prio)
	}
	return nil
}

func (c *call) permission(tid int, prio Prio) string {
	if c.kind == SystemCall && prio != None {
		return fmt.Sprintf("%d is above the thread's ceiling, which \"gosched get %d\" shows and "+
			"root raises with \"gosched ceiling %d %d\", or it is another user's, which "+
			"takes CAP_SYS_NICE", prio, tid, prio, tid)
	}
	return "sched_setattr(2) takes CAP_SYS_NICE, RLIMIT_NICE or RLIMIT_RTPRIO to raise a thread, " +
		"even to where it was before, and CAP_SYS_NICE for one of another user; a kernel " +
		"with go_sched lets a user bring his own threads back"
}

// known returns the record of a thread; one without a priority if there is none. The
// caller holds the mutex.
func (c *call) known(tid int) (record, syscall.Errno) {
	start, err := startTime(tid)
	if err != nil {
		return record{}, syscall.ESRCH
	}
	if r, ok := c.records[tid]; ok && r.start == start {
		return r, 0
	}
	return record{start: start, prio: None}, 0
}

// keep adds a record. The caller holds the mutex.
func (c *call) keep(tid int, r record) {
	c.records[tid] = r
	if len(c.records) < c.crowd {
		return
	}
	for tid, r := range c.records {
		if start, err := startTime(tid); err != nil || start != r.start {
			delete(c.records, tid)
		}
	}
	c.crowd = 2*len(c.records) + 64
}

// startTime returns when a thread started, in clock ticks since the machine did.
func startTime(tid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	// It is number 22, see proc(5), and what is cut off had two.
	if len(fields) < 20 {
		return 0, syscall.ESRCH
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}
