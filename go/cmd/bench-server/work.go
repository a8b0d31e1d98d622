// SPDX-License-Identifier: MIT OR GPL-2.0

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

// page has the data of a unit of work.
type page [1024]byte

// work does one unit.
func (p *page) work() {
	sum := md5.Sum(p[:])
	copy(p[:], sum[:])
	pause()
}

const (
	// burst is the number of units after which a background thread adds its result to the
	// common digest.
	burst = 64
	// burstPrio is the priority of such a thread during a burst.
	burstPrio gosched.Prio = 8
)

// background is the work in the background.
type background struct {
	garbage bool
	// Not nil if the threads lower themselves by hints.
	scheduler *gosched.Scheduler
	// One for each thread, as a common one would have the CPUs compete for its cache line.
	counters []*atomic.Uint64

	mu     sync.Mutex // Guards digest.
	digest page       // The results of all threads.
}

// units returns the number of units done.
func (b *background) units() (sum uint64) {
	for _, c := range b.counters {
		sum += c.Load()
	}
	return sum
}

// start starts a thread and returns its id.
func (b *background) start() (int, error) {
	// The padding gives it a cache line of its own.
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
		// Never unlocked: the end of the goroutine ends the thread.
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

// burn works for ever, in bursts.
func (b *background) burn(counter *atomic.Uint64, hint *gosched.Hint) {
	var p page
	var h heap
	for {
		if hint != nil {
			hint.Set(burstPrio)
		}
		for i := 0; i < burst; i++ {
			p.work()
			if b.garbage {
				h.replace(&p)
			}
			counter.Add(1)
		}
		// Other threads may wait for the mutex, which therefore is not held at burstPrio.
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

// heap is a list of reachable objects. New objects replace the oldest, so that the garbage
// collector has objects to mark and objects to free.
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
	// liveObjects is the number of objects in the heap of a thread: half a MiB.
	liveObjects = 1024
	// newObjects is the number of objects that a unit of work replaces.
	newObjects = 4
)

// replace adds newObjects, and drops as many beyond liveObjects.
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
