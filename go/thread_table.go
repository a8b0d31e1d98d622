// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// records are what a backend that is a system call keeps of threads.
//
// There is no lock: a thread that was lowered may not run again for long, and whoever
// waited for a lock of such a thread would wait as long. (A sync.Map has one for what is
// new to it, and holds it for no system call.)
type records struct {
	byTID sync.Map // Of *cell, by thread id.
	// How many there are, and at how many those of threads that have ended are dropped.
	count, crowd atomic.Int64
}

// cell has the record of the thread that has an id now, or of one that had it.
type cell = atomic.Pointer[record]

// record is what is kept of a thread. It is replaced, and never changed.
type record struct {
	start    uint64 // Tells the thread from another one that got its id.
	prio     Prio   // None: what follows has no meaning.
	children Children
	base     *attributes // What the thread had before.
}

// of returns the record of a thread that started then; one without a priority if there
// is none.
func (r *record) of(start uint64) *record {
	if r != nil && r.start == start {
		return r
	}
	return &record{start: start, prio: None}
}

// find returns the record of a thread; one without a priority if there is none.
func (r *records) find(tid int) (*record, syscall.Errno) {
	start, err := startTime(tid)
	if err != nil {
		return nil, syscall.ESRCH
	}
	if c, ok := r.byTID.Load(tid); ok {
		return c.(*cell).Load().of(start), 0
	}
	return (*record)(nil).of(start), 0
}

// replace has change bring a thread to what its next record says. That is kept before, so
// that a thread has nothing left to do once it is lowered; and as each record follows from
// the one that it replaces, nobody takes what another goroutine has set for the base.
func (r *records) replace(tid int, next func(*record) (record, syscall.Errno),
	change func(record) syscall.Errno) syscall.Errno {
	start, err := startTime(tid)
	if err != nil {
		return syscall.ESRCH
	}
	c := r.cell(tid)
	for {
		old := c.Load()
		after, errno := next(old.of(start))
		if errno != 0 {
			return errno
		}
		after.start = start
		if !c.CompareAndSwap(old, &after) {
			continue
		}
		if errno = change(after); errno != 0 {
			c.CompareAndSwap(&after, old)
		}
		return errno
	}
}

// forget drops a record that find returned, unless it has been replaced since.
func (r *records) forget(tid int, old *record) {
	if c, ok := r.byTID.Load(tid); ok {
		c.(*cell).CompareAndSwap(old, nil)
	}
}

// cell returns the cell of an id.
func (r *records) cell(tid int) *cell {
	if c, ok := r.byTID.Load(tid); ok {
		return c.(*cell)
	}
	c, was := r.byTID.LoadOrStore(tid, &cell{})
	if !was && r.count.Add(1) >= r.crowd.Load() {
		r.dropEnded()
	}
	return c.(*cell)
}

// dropEnded drops the cells of ids that no thread has.
func (r *records) dropEnded() {
	r.byTID.Range(func(tid, _ any) bool {
		if _, err := startTime(tid.(int)); err != nil {
			if _, was := r.byTID.LoadAndDelete(tid); was {
				r.count.Add(-1)
			}
		}
		return true
	})
	r.crowd.Store(2*r.count.Load() + 64)
}

// state is what a record tells, beside what is in force.
func (r *record) state(tid int) State {
	state := State{Prio: r.prio, Applied: None, Ceiling: None, Children: r.children}
	if r.prio == None {
		return state
	}
	if now, errno := getAttributes(tid); errno == 0 && now.isAt(r.prio) {
		state.Applied = r.prio
	}
	return state
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
