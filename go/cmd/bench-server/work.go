// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

package main

import (
	"crypto/md5"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"go_sched/gosched"
)

// page is what a unit of work reads and changes.
type page [1024]byte

// work does one unit.
func (p *page) work() {
	sum := md5.Sum(p[:])
	copy(p[:], sum[:])
	pause()
}

const (
	// burst is the number of units between two times that a thread of the background
	// hands over what it has.
	burst = 64
	// whileBurning is the priority of such a thread in between.
	whileBurning gosched.Prio = 8
)

// background is work that nobody waits for.
type background struct {
	garbage bool
	// Threads store hints if there is one.
	scheduler *gosched.Scheduler
	// Of each thread. Not one for all, which would have them meet at a cache line.
	counters []*atomic.Uint64

	mu     sync.Mutex // Guards digest.
	digest page       // What all have done, in one.
}

// units returns how many are done.
func (b *background) units() (sum uint64) {
	for _, c := range b.counters {
		sum += c.Load()
	}
	return sum
}

// start starts a thread and returns its id.
func (b *background) start() (int, error) {
	// Padded: a cache line of its own.
	counter := &new(struct {
		atomic.Uint64
		_ [120]byte
	}).Uint64
	b.counters = append(b.counters, counter)
	type started struct {
		tid int
		err error
	}
	answer := make(chan started)
	go func() {
		// For good: the end of the goroutine ends the thread.
		runtime.LockOSThread()
		var hint *gosched.Hint
		if b.scheduler != nil {
			var err error
			if hint, err = b.scheduler.Bind(); err != nil {
				answer <- started{0, err}
				return
			}
		}
		answer <- started{syscall.Gettid(), nil}
		b.burn(counter, hint)
	}()
	s := <-answer
	return s.tid, s.err
}

// burn works for ever, and hands over what it has now and then.
func (b *background) burn(counter *atomic.Uint64, hint *gosched.Hint) {
	var p page
	var h heap
	for {
		if hint != nil {
			hint.Set(whileBurning)
		}
		for i := 0; i < burst; i++ {
			p.work()
			if b.garbage {
				h.replace(&p)
			}
			counter.Add(1)
		}
		// Others may wait for the mutex: not with the priority of idle work.
		if hint != nil {
			hint.Clear()
		}
		b.mu.Lock()
		for i := range p[:md5.Size] {
			b.digest[i] ^= p[i]
		}
		b.mu.Unlock()
	}
}

// heap is a list of objects, all reachable; the oldest give way to new ones, so that
// the garbage collector has both to mark and to free.
type heap struct {
	newest *object
	oldest *object
	length int
}

type object struct {
	newer   *object
	content [496]byte
}

const (
	// liveObjects is how many each thread keeps: half a MiB.
	liveObjects = 1024
	// newObjects is how many a unit of work replaces.
	newObjects = 4
)

// replace adds objects, and drops as many once there are enough.
func (h *heap) replace(p *page) {
	for i := 0; i < newObjects; i++ {
		o := &object{}
		copy(o.content[:], p[:])
		if h.newest == nil {
			h.oldest = o
		} else {
			h.newest.newer = o
		}
		h.newest = o
		if h.length++; h.length > liveObjects {
			h.oldest = h.oldest.newer
		}
	}
}
