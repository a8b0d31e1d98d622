// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// Hint is a slot of a page shared with the kernel, with the priority that a thread shall
// have. The kernel reads the slot when it is about to choose what runs next on the CPU of
// the thread that is bound to it.
type Hint struct {
	scheduler *Scheduler
	bound     binding
	former    *assignment // The role that the thread had before.
	// The name that the thread had before, nil if it keeps its name.
	formerName *sys.ThreadName
	followed   bool                     // The thread followed its goroutines before, see leaveThread.
	slot       atomic.Pointer[sys.Slot] // Nil under NoOp, where nobody reads it, and once unbound.
	unbound    atomic.Bool
}

// Bind binds the calling thread to a slot, and locks the goroutine to the thread until Unbind,
// as runtime.LockOSThread does. The same goroutine calls Unbind: if it ends without that, its
// thread ends too. Hints take the Device, or NoOp, and no /proc.
func (s *Scheduler) Bind() (*Hint, error) { return s.bind("") }

func (s *Scheduler) bind(role string) (*Hint, error) {
	runtime.LockOSThread()
	followed := s.kind == Device && leaveThread()
	h, err := s.bindLocked(role)
	if err != nil {
		followAgain(followed)
		runtime.UnlockOSThread()
		return nil, err
	}
	h.followed = followed
	return h, nil
}

// bindLocked binds the thread that the goroutine is locked to.
func (s *Scheduler) bindLocked(role string) (*Hint, error) {
	d, tid := s.device, sys.Gettid()
	r := bindRequest(tid)
	// The listing of Threads uses it, if /proc tells; the kernel needs none.
	var start uint64
	if checkProc() == nil {
		start, _ = startTime(tid)
	}
	assigned := &assignment{role, start}
	h := &Hint{scheduler: s, bound: binding{0, tid, assigned}, former: s.declaredRole(tid, start)}
	if s.kind == NoOp {
		s.assignRole(tid, assigned)
		return h, nil
	}
	if d == nil {
		return nil, unsupported(0, "hints take %s, and %v is in use: open it with Device, or "+
			"use Set", Path, s.kind)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) == 0 {
		if err := s.addSlots(r); err != nil {
			return nil, err
		}
	}
	last := len(d.free) - 1
	number := d.free[last]
	if errno := d.request(func(fd int) syscall.Errno { return sys.Bind(fd, number) }); errno != 0 {
		if status, err := d.get(target{tid: tid}); err == nil && status.Bound {
			return nil, boundAlreadyFailure(tid, errno)
		}
		return nil, d.failed(r, errno)
	}
	d.free = d.free[:last]
	d.hints++
	perPage := uint32(os.Getpagesize() / sys.SlotSize)
	h.bound.slot = number
	h.slot.Store(&d.pages[number/perPage][number%perPage])
	s.assignRole(tid, assigned)
	// A goroutine may end with its thread and without Unbind. Another thread gets the slot
	// only when no hint can be stored to any more.
	runtime.SetFinalizer(h, (*Hint).abandon)
	return h, nil
}

// addSlots frees slots of threads that have ended, or else maps another page. The caller
// holds the device's mu, for the request r.
func (s *Scheduler) addSlots(r request) error {
	s.freeAbandoned()
	d := s.device
	if len(d.free) > 0 {
		return nil
	}
	size := os.Getpagesize()
	offset := len(d.pages) * size
	if offset >= sys.HintMaxSize {
		return noSlotFailure(r.tid)
	}
	d.open.RLock()
	page, errno := sys.Map(d.fd, int64(offset), size)
	d.open.RUnlock()
	if errno != 0 {
		return d.failed(r, errno)
	}
	d.pages = append(d.pages, page)
	// The last one is taken first: the lowest.
	for at := offset + size - sys.SlotSize; at >= offset; at -= sys.SlotSize {
		d.free = append(d.free, uint32(at/sys.SlotSize))
	}
	return nil
}

// freeAbandoned frees the slots and the roles of abandoned bindings whose threads have
// ended. The caller holds the device's mu.
func (s *Scheduler) freeAbandoned() {
	d := s.device
	kept := d.abandoned[:0]
	for _, b := range d.abandoned {
		if status, err := d.get(target{tid: b.tid}); err == nil && status.Bound {
			kept = append(kept, b)
			continue
		}
		d.free = append(d.free, b.slot)
		// Another thread may have the id by now.
		if s.assignedRole(b.tid) == b.role {
			s.assignRole(b.tid, nil)
		}
	}
	d.abandoned = kept
}

// Set asks for a priority, by a single store. Any thread may call it. A thread that runs has
// the priority by the next tick; one that sleeps or waits for a CPU when it runs, see Follow.
// The kernel lowers the priority to what the thread may have. None is as Clear; other values
// above MaxPrio are ignored. After Unbind it does nothing; both at the same time are for the
// caller to prevent.
func (h *Hint) Set(prio Prio) {
	if slot := h.slot.Load(); slot != nil {
		storeByte(&slot.Wanted, byte(prio))
		runtime.KeepAlive(h)
	}
}

// Clear asks for no priority: the thread then has the one that Scheduler.Set set last, or
// its base.
func (h *Hint) Clear() { h.Set(None) }

// Follow has the kernel look at the hint now, if it asks for more than the thread has. Any
// thread may call it, after Set, for a thread that sleeps or waits for a CPU. What lowers a
// thread is left to the thread itself, but from one priority of 0 to 15 to another. Under NoOp
// it does nothing.
func (h *Hint) Follow() error {
	tid := h.bound.tid
	if h.unbound.Load() {
		return unboundFailure(followRequest(tid))
	}
	d := h.scheduler.device
	if d == nil {
		return nil
	}
	errno := d.request(func(fd int) syscall.Errno { return sys.Follow(fd, tid) })
	if errno != 0 {
		return d.failed(followRequest(tid), errno)
	}
	return nil
}

// Applied returns the priority in force, and whether there is one.
func (h *Hint) Applied() (Prio, bool) {
	slot := h.slot.Load()
	if slot == nil {
		return None, false
	}
	applied := Prio(loadByte(&slot.Applied))
	runtime.KeepAlive(h)
	return applied, applied != None
}

// Unbind ends the binding, and with it the priority that the hint asks for. It unlocks the
// goroutine, which must be the one that called Bind. The end of the thread ends the binding
// too. Unbind of a Hint that was unbound changes nothing, and its error matches os.ErrClosed.
func (h *Hint) Unbind() error {
	tid := h.bound.tid
	if h.unbound.Load() {
		return unboundFailure(unbindRequest(tid))
	}
	if sys.Gettid() != tid {
		return refused(syscall.EPERM, "%v: another thread calls: have the goroutine that called "+
			"Bind call Unbind", unbindRequest(tid))
	}
	d := h.scheduler.device
	if d == nil {
		h.release()
		return nil
	}
	if errno := d.request(sys.Unbind); errno != 0 {
		return d.failed(unbindRequest(tid), errno)
	}
	runtime.SetFinalizer(h, nil)
	h.slot.Store(nil)
	h.release()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = append(d.free, h.bound.slot)
	d.hints--
	d.unmapIfUnused()
	return nil
}

// release returns the calling thread to what it was called before, and to any goroutine.
func (h *Hint) release() {
	h.unbound.Store(true)
	restoreName(h.formerName)
	h.scheduler.assignRole(h.bound.tid, h.former)
	followAgain(h.followed)
	runtime.UnlockOSThread()
}

// abandon is the finalizer of a Hint that was not unbound.
func (h *Hint) abandon() {
	d := h.scheduler.device
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned = append(d.abandoned, h.bound)
	d.hints--
	h.scheduler.freeAbandoned()
	d.unmapIfUnused()
}

// storeByte stores a byte that the kernel reads at any time.
//
// Package sync/atomic has no type as small as a byte, and an atomic store of 32 bits would
// overwrite the kernel's bytes beside it. A plain store is enough: no machine tears a byte,
// and as the call is not inlined, the compiler can neither omit the store nor delay it nor
// merge it with the next one. No order is needed either: the kernel reads the slot on the
// CPU that the slot's thread runs on, and a CPU sees its own stores in order.
//
//go:noinline
func storeByte(to *byte, value byte) { *to = value }

// loadByte loads a byte that the kernel stores at any time, see storeByte.
//
//go:noinline
func loadByte(from *byte) byte { return *from }
