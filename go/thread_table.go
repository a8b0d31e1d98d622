// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"sync"
	"sync/atomic"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// threadTable has the records of threads that a backend keeps which is a system call.
//
// It takes no lock during a system call: a thread that was lowered may not run again for
// long, and a thread that waited for its lock would wait as long. (A sync.Map locks for a
// new key only.)
type threadTable struct {
	byTID sync.Map // Of *cell, by thread id.
	// The number of cells, and the number at which those of ended threads are dropped.
	count, dropAt atomic.Int64
}

// cell has the record of the thread that has an id now, or of an earlier one.
type cell = atomic.Pointer[record]

// record is what is kept of a thread. It never changes; another record replaces it.
type record struct {
	start    uint64 // See startTime. Tells the thread from another one with its id.
	prio     Prio   // None: what follows has no meaning.
	children Children
	base     *sys.SchedAttr // The attributes before the priority was set.
}

// of returns the record if it is of a thread with that start time, or else one without a
// priority.
func (r *record) of(start uint64) *record {
	if r != nil && r.start == start {
		return r
	}
	return &record{start: start, prio: None}
}

// find returns the record of a thread, or one without a priority if none is kept.
func (t *threadTable) find(of target) *record {
	if c, ok := t.byTID.Load(of.tid); ok {
		return c.(*cell).Load().of(of.start)
	}
	return (*record)(nil).of(of.start)
}

// replace calls next for the record that follows the present one, stores it, and calls
// change to bring the thread to it. The record is stored first, so that a thread has
// nothing left to do once it is lowered. It is stored only over the record that next saw,
// so that no goroutine takes for the base what another one has set.
func (t *threadTable) replace(of target, next func(*record) (record, syscall.Errno),
	change func(record) syscall.Errno) syscall.Errno {
	c := t.cell(of.tid)
	for {
		old := c.Load()
		after, errno := next(old.of(of.start))
		if errno != 0 {
			return errno
		}
		after.start = of.start
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
func (t *threadTable) forget(tid int, old *record) {
	if c, ok := t.byTID.Load(tid); ok {
		c.(*cell).CompareAndSwap(old, nil)
	}
}

// cell returns the cell of an id, which it makes if there is none.
func (t *threadTable) cell(tid int) *cell {
	if c, ok := t.byTID.Load(tid); ok {
		return c.(*cell)
	}
	c, loaded := t.byTID.LoadOrStore(tid, &cell{})
	if !loaded && t.count.Add(1) >= t.dropAt.Load() {
		t.dropEnded()
	}
	return c.(*cell)
}

// dropEnded drops the cells of ids that no thread has.
func (t *threadTable) dropEnded() {
	t.byTID.Range(func(tid, _ any) bool {
		if _, err := startTime(tid.(int)); err == syscall.ESRCH {
			if _, loaded := t.byTID.LoadAndDelete(tid); loaded {
				t.count.Add(-1)
			}
		}
		return true
	})
	t.dropAt.Store(2*t.count.Load() + 64)
}
