// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"runtime"
	"syscall"
)

// Role is a kind of work that a program declares, such as "request" or "compaction", with
// the priority that its threads have while they do it.
type Role struct {
	scheduler *Scheduler
	name      string
	prio      Prio
}

// NewRole declares a role. Threads are listed with its name, see Threads.
func (s *Scheduler) NewRole(name string, prio Prio) (*Role, error) {
	if err := prio.check(); err != nil {
		return nil, err
	}
	return &Role{s, name, prio}, nil
}

// Do runs work on a thread that has a priority, and returns the thread to what it had
// before: its former Go priority, or none. Do locks the goroutine to the thread, and
// unlocks it once all is as before. It may be nested.
//
// Work begins only if there is a way back from it; otherwise Do returns an error, and has
// done nothing. The way back is taken when work returns, when it panics, and when it
// calls runtime.Goexit. Should the kernel refuse it nonetheless, the goroutine stays
// locked, so that the thread ends with it and no other goroutine gets it, and Do returns
// why; if the goroutine panics or ends, there is nobody to return it to. (The runtime
// never ends the main thread, but stops it for good.)
//
// The threads of goroutines that work starts are others, and have their own priorities.
func (s *Scheduler) Do(prio Prio, work func()) error {
	role, err := s.NewRole("", prio)
	if err != nil {
		return err
	}
	return role.Do(work)
}

// Do runs work as Scheduler.Do does, at the role's priority.
func (r *Role) Do(work func()) (err error) {
	s := r.scheduler
	runtime.LockOSThread()
	tid := syscall.Gettid()
	// While the thread is lowered, it does what work does, and nothing else.
	former := s.attribute(tid, &attribution{role: r.name})
	before, err := s.begin(tid, r.prio)
	if err != nil {
		s.attribute(tid, former)
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		err = s.end(tid, before)
		s.attribute(tid, former)
		if err == nil {
			runtime.UnlockOSThread()
		}
	}()
	work()
	return nil
}

// begin gives the calling thread a priority and returns its state before that.
func (s *Scheduler) begin(tid int, prio Prio) (State, error) {
	before, err := s.threads.get(tid)
	if err != nil {
		return before, err
	}
	if before.Bound {
		return before, refused(syscall.EBUSY, "not begun: thread %d is bound to a hint, which would "+
			"take the priority away again: use the hint's Set", tid)
	}
	if err := s.threads.mayReturn(tid, before, prio); err != nil {
		return before, err
	}
	return before, s.threads.set(tid, prio, StartAtBase)
}

// end returns the calling thread to a state.
func (s *Scheduler) end(tid int, before State) error {
	if before.Prio == None {
		return s.threads.clear(tid)
	}
	err := s.threads.set(tid, before.Prio, before.Children)
	if err != nil {
		// Without a priority is better than with the wrong one.
		_ = s.threads.clear(tid)
	}
	return err
}

// Bind binds the calling thread as Scheduler.Bind does, and asks for the role's priority.
func (r *Role) Bind() (*Hint, error) {
	h, err := r.scheduler.bind(r.name)
	if err == nil {
		h.Set(r.prio)
	}
	return h, err
}
