// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"os"
	"runtime"
	"unicode/utf8"

	"go_sched/gosched/internal/sys"
)

// Role is a kind of work, such as "request" or "compaction", with the priority of the
// threads that do it.
type Role struct {
	scheduler *Scheduler
	name      string
	prio      Prio
	// What top(1) calls a thread meanwhile, empty for what it is called anyway.
	threadName sys.ThreadName
}

// NewRole declares a role. Threads lists the name of the role for each thread that has it. The
// thread is called by the name meanwhile, or by the 15 bytes that the kernel has room for, so
// that top(1), htop(1) and perf(1) show it. The main thread keeps its name, as that is the name
// of the process.
func (s *Scheduler) NewRole(name string, prio Prio) (*Role, error) {
	if err := prio.check(); err != nil {
		return nil, err
	}
	short := name
	for len(short) >= len(sys.ThreadName{}) {
		_, size := utf8.DecodeLastRuneInString(short)
		short = short[:len(short)-size]
	}
	r := &Role{scheduler: s, name: name, prio: prio}
	copy(r.threadName[:], short)
	return r, nil
}

var mainThread = os.Getpid()

// nameThread gives the calling thread the name of the role, and returns the one that it had.
// It returns nil if the thread keeps its name.
func (r *Role) nameThread(tid int) *sys.ThreadName {
	if r.threadName == (sys.ThreadName{}) || tid == mainThread {
		return nil
	}
	former := sys.Name()
	sys.SetName(r.threadName)
	return &former
}

// restoreName undoes what nameThread did to the calling thread.
func restoreName(former *sys.ThreadName) {
	if former != nil {
		sys.SetName(*former)
	}
}

// Do runs work on a thread at a priority, and returns the thread to what it had before: its
// former Go priority, or none. Do locks the goroutine to the thread, and unlocks it once
// the thread is as before. Calls of Do may be nested.
//
// If the thread could not be returned, Do does not run work. Each error of work that was not
// run matches ErrNotBegun: a program may then run the work itself, without a priority.
//
// Do returns the thread when work returns, when it panics, and when it calls runtime.Goexit.
// If the kernel refuses that nonetheless, the goroutine stays locked, so that its thread ends
// with it and no other goroutine gets the thread, and Do returns the error; a goroutine that
// panics or ends does not see it. (The runtime never ends the main thread, but stops it for
// good.)
//
// Goroutines that work starts run on other threads, with priorities of their own.
//
// In a program whose goroutines have priorities, see Overlay, with Device or NoOp the priority is
// the goroutine's: it is locked to no thread, what it starts has the same priority, and the kernel
// gives its thread the highest that this may have where that is less. Threads lists no role then.
func (s *Scheduler) Do(prio Prio, work func()) error {
	role, err := s.NewRole("", prio)
	if err != nil {
		return notBegun{err}
	}
	return role.Do(work)
}

// Do runs work as Scheduler.Do does, at the role's priority.
func (r *Role) Do(work func()) (err error) {
	s := r.scheduler
	if s.byGoroutine() {
		before, err := SetGoroutine(r.prio)
		if err != nil {
			return notBegun{err}
		}
		defer func() { _, _ = SetGoroutine(before) }()
		work()
		return nil
	}
	runtime.LockOSThread()
	tid := sys.Gettid()
	// Before the thread is lowered: from then on it runs work alone.
	former := s.assignRole(tid, &assignment{role: r.name})
	formerName := r.nameThread(tid)
	to, before, err := s.begin(tid, r.prio)
	if err != nil {
		restoreName(formerName)
		s.assignRole(tid, former)
		runtime.UnlockOSThread()
		return notBegun{err}
	}
	defer func() {
		err = s.end(to, before)
		restoreName(formerName)
		s.assignRole(tid, former)
		if err == nil {
			runtime.UnlockOSThread()
		}
	}()
	work()
	return nil
}

// begin gives the calling thread a priority, and returns the thread with its status before that.
func (s *Scheduler) begin(tid int, prio Prio) (to target, before Status, err error) {
	if to, err = s.target(setRequest(tid, prio)); err != nil {
		return to, before, err
	}
	if before, err = s.threads.get(to); err != nil {
		return to, before, err
	}
	if before.Bound {
		return to, before, boundFailure(tid)
	}
	if err := s.threads.maySet(to, prio); err != nil {
		return to, before, err
	}
	if err := s.threads.mayReturn(to, before, prio); err != nil {
		return to, before, err
	}
	return to, before, s.threads.set(to, prio, StartAtBase)
}

// end returns the calling thread to a status, by what begin has found alone: the work may have
// taken the last descriptor, or the right to read /proc.
func (s *Scheduler) end(to target, before Status) error {
	if before.Prio == None {
		return s.threads.clear(to)
	}
	err := s.threads.set(to, before.Prio, before.Children)
	if err != nil {
		// No priority is better than the wrong one.
		_ = s.threads.clear(to)
	}
	return err
}

// Bind binds the calling thread as Scheduler.Bind does, and asks for the role's priority.
func (r *Role) Bind() (*Hint, error) {
	h, err := r.scheduler.bind(r.name)
	if err == nil {
		h.formerName = r.nameThread(h.bound.tid)
		h.Set(r.prio)
	}
	return h, err
}
