// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// Hint is the slot of a page shared with the kernel, which reads there what priority
// the thread bound to it shall have, whenever it is about to choose what runs next.
type Hint struct {
	scheduler *Scheduler
	bound     boundSlot
	former    *attribution // What the thread was listed as before.
	wanted    *byte
	// Written by the kernel alone.
	applied *byte
}

// Bind binds the calling thread to a slot. The goroutine must be locked to it with
// runtime.LockOSThread, and stay so until it has called Unbind. It takes the Device.
func (s *Scheduler) Bind() (*Hint, error) { return s.bind("") }

func (s *Scheduler) bind(role string) (*Hint, error) {
	d := s.device
	if d == nil {
		return nil, unsupported(0, "hints take %s, and %v is in use: open it with Device, or "+
			"use Set", Path, s.kind)
	}
	tid := syscall.Gettid()
	r := request{"bind", tid, None}
	// Of no use to the kernel: it is for the listing.
	start, err := startTime(tid)
	if err != nil {
		return nil, fmt.Errorf("gosched: %v: %w", r, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) == 0 {
		if err := s.addSlots(r); err != nil {
			return nil, err
		}
	}
	last := len(d.free) - 1
	argument := bindArgument{slot: d.free[last]}
	argument.size = uint32(unsafe.Sizeof(argument))
	if errno := d.request(requestBind, unsafe.Pointer(&argument)); errno != 0 {
		if state, err := d.get(tid); err == nil && state.Bound {
			return nil, refused(errno, "%v: it is bound already: use the Hint that Bind "+
				"returned first, or Unbind it", r)
		}
		return nil, d.failed(r, errno)
	}
	d.free = d.free[:last]
	d.hints++
	perPage := uint32(os.Getpagesize() / slotSize)
	at := argument.slot % perPage * slotSize
	slot := d.pages[argument.slot/perPage][at : at+slotSize]
	listed := &attribution{role, start}
	h := &Hint{
		scheduler: s,
		bound:     boundSlot{argument.slot, tid, listed},
		former:    s.declared(tid, start),
		wanted:    &slot[slotWanted],
		applied:   &slot[slotApplied],
	}
	s.attribute(tid, listed)
	// A goroutine may end with its thread and without Unbind. Only when nobody can store
	// to the slot any more may another thread have it.
	runtime.SetFinalizer(h, (*Hint).drop)
	return h, nil
}

// addSlots takes back slots of threads that have ended, or else maps more. The caller
// holds the device's mutex, for this request.
func (s *Scheduler) addSlots(r request) error {
	s.takeBack()
	d := s.device
	if len(d.free) > 0 {
		return nil
	}
	size := os.Getpagesize()
	offset := len(d.pages) * size
	if offset >= hintMaxSize {
		return refused(syscall.ENOSPC, "%v: all %d slots of the device are bound: Unbind hints "+
			"that are not needed, or open it once more", r, hintMaxSize/slotSize)
	}
	d.open.RLock()
	page, err := syscall.Mmap(d.fd, int64(offset), size,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	d.open.RUnlock()
	if err != nil {
		return d.failed(r, err.(syscall.Errno))
	}
	d.pages = append(d.pages, page)
	// The lowest is the last, and taken first.
	for at := offset + size - slotSize; at >= offset; at -= slotSize {
		d.free = append(d.free, uint32(at/slotSize))
	}
	return nil
}

// takeBack takes back the slots of hints that were dropped, if their threads have ended,
// and what these were listed as. The caller holds the device's mutex.
func (s *Scheduler) takeBack() {
	d := s.device
	kept := d.dropped[:0]
	for _, b := range d.dropped {
		if state, err := d.get(b.tid); err == nil && state.Bound {
			kept = append(kept, b)
			continue
		}
		d.free = append(d.free, b.slot)
		// The id may be that of another thread by now.
		if s.attributed(b.tid) == b.listed {
			s.attribute(b.tid, nil)
		}
	}
	d.dropped = kept
}

// Set asks for a priority, by a single store; any thread may call it. What the
// thread may not have is lowered by the kernel to what it may; None is as Clear, and what
// is above MaxPrio otherwise is ignored.
func (h *Hint) Set(prio Prio) {
	storeByte(h.wanted, byte(prio))
	runtime.KeepAlive(h)
}

// Clear asks for no priority: the thread has what Scheduler.Set said last, or its base.
func (h *Hint) Clear() { h.Set(None) }

// Applied returns the priority in force, and whether there is one.
func (h *Hint) Applied() (Prio, bool) {
	applied := Prio(loadByte(h.applied))
	runtime.KeepAlive(h)
	return applied, applied != None
}

// Unbind ends the binding, and with it the priority asked for. The thread that was
// bound calls it, and the Hint must not be used any more. The end of the thread ends the
// binding too.
func (h *Hint) Unbind() error {
	r := request{"unbind", h.bound.tid, None}
	if syscall.Gettid() != h.bound.tid {
		return refused(syscall.EPERM, "%v: another thread calls: lock the goroutine with "+
			"runtime.LockOSThread from Bind to Unbind", r)
	}
	d := h.scheduler.device
	if errno := d.request(requestUnbind, nil); errno != 0 {
		return d.failed(r, errno)
	}
	runtime.SetFinalizer(h, nil)
	h.scheduler.attribute(h.bound.tid, h.former)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = append(d.free, h.bound.slot)
	d.hints--
	d.unmapIfUnused()
	return nil
}

// drop is called when nobody has the Hint any more.
func (h *Hint) drop() {
	d := h.scheduler.device
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped = append(d.dropped, h.bound)
	d.hints--
	h.scheduler.takeBack()
	d.unmapIfUnused()
}

// storeByte stores a byte that the kernel reads at any time.
//
// Package sync/atomic has nothing as small as a byte, and its 32 bits would take the
// kernel's bytes beside it along. A plain store does: no machine tears a byte, and as
// the call is not inlined the compiler can neither leave the store out nor put it off
// or merge it with the next. Nor need it be ordered with anything: the kernel reads
// the slot on the CPU that its thread runs on, and a CPU sees its own stores in order.
//
//go:noinline
func storeByte(to *byte, value byte) { *to = value }

// loadByte loads a byte that the kernel stores at any time, as storeByte stores it.
//
//go:noinline
func loadByte(from *byte) byte { return *from }
