// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"errors"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// Source says how the role of a thread is known.
type Source string

const (
	// Declared is the Source of a thread that runs Do or is bound. Its role is the name of
	// the Role, empty without one.
	Declared Source = "declared"
	// MainThread is the Source of the thread that the process started with.
	MainThread Source = "main thread"
	// ThreadName is the Source of a thread whose name differs from that of the process. The
	// Go runtime names no thread, so C code has named it, or a Role of another Scheduler, and
	// the name is its role.
	ThreadName Source = "thread name"
	// StartOrder is the Source of the thread that was started first. The Go runtime starts
	// sysmon first, which takes Ps back from threads, unless C code has started a thread
	// before. All versions since 1.19 do so; none promises it.
	StartOrder Source = "start order"
	// Unknown is the Source of all other threads. Any goroutine may run there, a worker of
	// the garbage collector too.
	Unknown Source = "unknown"
)

// Thread is an entry of the list that Threads returns.
type Thread struct {
	TID    int    `json:"tid"`
	Name   string `json:"name"` // As in /proc/self/task/TID/comm.
	Role   string `json:"role"` // Empty where Source is Unknown.
	Source Source `json:"source"`
	Status Status `json:"status"`
}

// assignment says that a thread has a role.
type assignment struct {
	role string
	// The startTime of the thread if the thread may end before the assignment does, or 0. It
	// is 0 as well where /proc did not tell it.
	start uint64
}

// assignRole assigns a role to a thread, nil for none, and returns the former assignment.
func (s *Scheduler) assignRole(tid int, a *assignment) *assignment {
	former := s.assignedRole(tid)
	if a == nil {
		s.roles.Delete(tid)
	} else {
		s.roles.Store(tid, a)
	}
	return former
}

// assignedRole returns the assignment of a thread, or nil.
func (s *Scheduler) assignedRole(tid int) *assignment {
	a, _ := s.roles.Load(tid)
	found, _ := a.(*assignment)
	return found
}

// declaredRole returns the assignment of a thread with that start time, or nil.
func (s *Scheduler) declaredRole(tid int, start uint64) *assignment {
	a := s.assignedRole(tid)
	if a != nil && a.start != 0 && a.start != start {
		return nil
	}
	return a
}

// Threads returns the threads of this process, by id, with what can be known of their roles.
// Threads may start and end meanwhile.
//
// Goroutines move between threads. So it is not known, unless the program declares it, which
// thread runs the workers of the garbage collector, a timer or a request; which goroutine is
// locked to a thread by runtime.LockOSThread alone; and which thread is in a system call or
// idle. The first runtime.LockOSThread, by Do for example, has the runtime start its template
// thread, which starts other threads and runs no goroutine; its Source is Unknown.
//
// Package runtime/metrics tells how much work there is, of all threads together: since Go
// 1.20, /cpu/classes/gc/mark/idle:cpu-seconds is the time of the idle workers of the garbage
// collector, and /cpu/classes/gc/total:cpu-seconds that of all its work.
//
// The list is read from /proc. Where that is not mounted, or is that of another pid
// namespace, Threads returns an error that matches ErrUnsupported. Where a file of it cannot be
// read, as with no descriptor left, Threads returns an error that names the file.
func (s *Scheduler) Threads() ([]Thread, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	const path = "/proc/self/task"
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, readFailure(path, err)
	}
	tids := make([]int, 0, len(entries))
	for _, entry := range entries {
		if tid, err := strconv.Atoi(entry.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	sort.Ints(tids)
	process, err := threadName(os.Getpid())
	if err != nil {
		return nil, err
	}
	var threads []Thread
	// The index and the start time of the thread started first after the main thread.
	first, firstStart := -1, uint64(math.MaxUint64)
	for _, tid := range tids {
		t, start, err := s.look(tid)
		if errors.Is(err, syscall.ESRCH) {
			continue // It has ended.
		}
		if err != nil {
			return nil, err
		}
		// Of threads started within the same clock tick, the lowest id counts.
		if tid != os.Getpid() && start < firstStart {
			first, firstStart = len(threads), start
		}
		declared := s.declaredRole(tid, start)
		switch {
		case declared != nil:
			t.Role, t.Source = declared.role, Declared
		case tid == os.Getpid():
			t.Role, t.Source = "main", MainThread
		case t.Name != process:
			t.Role, t.Source = t.Name, ThreadName
		}
		threads = append(threads, t)
	}
	if first >= 0 && threads[first].Source == Unknown {
		threads[first].Role, threads[first].Source = "sysmon", StartOrder
	}
	return threads, nil
}

// look returns an entry of Threads without a role, and the start time of the thread.
func (s *Scheduler) look(tid int) (Thread, uint64, error) {
	t := Thread{TID: tid, Source: Unknown}
	start, err := startTime(tid)
	if err == nil {
		t.Name, err = threadName(tid)
	}
	if err == nil {
		t.Status, err = s.threads.get(target{tid, start})
	}
	return t, start, err
}

// threadName returns what a thread is called, and the errors of readProc.
func threadName(tid int) (string, error) {
	name, err := readProc(tid, "comm")
	return strings.TrimSuffix(string(name), "\n"), err
}
