// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// Hint is the slot of a page shared with the kernel, which reads there what priority
// the thread bound to it shall have, whenever it is about to choose what runs next.
type Hint struct {
	device *Device
	slot   uint32
	tid    int
	wanted *byte
	// Written by the kernel alone.
	applied *byte
}

// Bind binds the calling thread to a slot. The goroutine must be locked to it with
// runtime.LockOSThread, and stay so until it has called Unbind.
func (d *Device) Bind() (*Hint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) == 0 {
		if err := d.mapPage(); err != nil {
			return nil, err
		}
	}
	last := len(d.free) - 1
	argument := bindArgument{slot: d.free[last]}
	argument.size = uint32(unsafe.Sizeof(argument))
	if err := d.request("GO_SCHED_BIND", requestBind, unsafe.Pointer(&argument)); err != nil {
		return nil, err
	}
	d.free = d.free[:last]
	perPage := uint32(os.Getpagesize() / slotSize)
	start := argument.slot % perPage * slotSize
	slot := d.pages[argument.slot/perPage][start : start+slotSize]
	return &Hint{d, argument.slot, syscall.Gettid(), &slot[slotWanted], &slot[slotApplied]}, nil
}

// mapPage adds a page of free slots. The caller holds the mutex.
func (d *Device) mapPage() error {
	size := os.Getpagesize()
	offset := len(d.pages) * size
	if offset >= hintMaxSize {
		return errors.New("all slots of the device are bound: open it once more")
	}
	page, err := syscall.Mmap(d.fd, int64(offset), size,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	d.pages = append(d.pages, page)
	// The lowest is the last, and taken first.
	for at := offset + size - slotSize; at >= offset; at -= slotSize {
		d.free = append(d.free, uint32(at/slotSize))
	}
	return nil
}

// Set asks for a priority, by a single store; any thread may call it. What is above
// the thread's ceiling is lowered to that by the kernel.
func (h *Hint) Set(prio Prio) { storeByte(h.wanted, byte(prio)) }

// Clear asks for no priority: the thread has what Device.Set said last, or its base.
func (h *Hint) Clear() { storeByte(h.wanted, hintNone) }

// Applied returns the priority in force, and whether there is one.
func (h *Hint) Applied() (Prio, bool) {
	applied := loadByte(h.applied)
	return Prio(applied), applied != hintNone
}

// Unbind ends the binding, and with it the priority asked for. The thread that was
// bound calls it; a thread that ends without doing so leaves its slot unused.
func (h *Hint) Unbind() error {
	if syscall.Gettid() != h.tid {
		return errors.New("unbind: another thread was bound")
	}
	if err := h.device.request("GO_SCHED_UNBIND", requestUnbind, nil); err != nil {
		return err
	}
	h.device.mu.Lock()
	defer h.device.mu.Unlock()
	h.device.free = append(h.device.free, h.slot)
	return nil
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
