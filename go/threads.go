// SPDX-License-Identifier: GPL-2.0

//go:build linux

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

// Source is how the role of a thread is known.
type Source string

const (
	// Declared: the thread is under Do, or bound. Its role is that of the Role, or empty.
	Declared Source = "declared"
	// MainThread: it is the one that the process started with.
	MainThread Source = "main thread"
	// ThreadName: it has another name than the process, which the Go runtime gives to
	// none. C code has named it, and the name is its role.
	ThreadName Source = "thread name"
	// StartOrder: it is the first that was started. There the Go runtime has sysmon,
	// which takes Ps back from threads, unless C code started one before; all versions
	// since 1.19 do so, and none has promised it.
	StartOrder Source = "start order"
	// Unknown: any goroutine may run there, a worker of the garbage collector too.
	Unknown Source = "unknown"
)

// Thread is an entry of the listing.
type Thread struct {
	TID    int
	Name   string // As in /proc/self/task/TID/comm.
	Role   string // Empty where Source is Unknown.
	Source Source
	State  State
}

// attribution is what a thread is listed as.
type attribution struct {
	role string
	// Of the thread, if it may end before the attribution does; see startTime.
	start uint64
}

// attribute records what a thread is listed as from now on, nil for nothing, and returns
// what it was listed as before.
func (s *Scheduler) attribute(tid int, a *attribution) *attribution {
	former := s.attributed(tid)
	if a == nil {
		s.roles.Delete(tid)
	} else {
		s.roles.Store(tid, a)
	}
	return former
}

// attributed returns what a thread is listed as, or nil.
func (s *Scheduler) attributed(tid int) *attribution {
	a, _ := s.roles.Load(tid)
	found, _ := a.(*attribution)
	return found
}

// declared returns the attribution of a thread that started then, or nil.
func (s *Scheduler) declared(tid int, start uint64) *attribution {
	a := s.attributed(tid)
	if a != nil && a.start != 0 && a.start != start {
		return nil
	}
	return a
}

// Threads lists the threads of this process, by id, with what can be known of their
// roles. Threads may come and go meanwhile.
//
// Goroutines move between threads. So nobody can know, without being told, which thread
// runs the garbage collector's workers, a timer or a request; what a goroutine is locked
// to with runtime.LockOSThread alone; or which thread waits in a system call or is idle.
// The first runtime.LockOSThread, by Do for example, has the runtime start one thread more,
// its template thread, which starts others and runs no goroutine; it is listed as Unknown.
// Package runtime/metrics tells how much work there is, and not where: since Go 1.20,
// /cpu/classes/gc/mark/idle:cpu-seconds is what the idle workers of the garbage collector
// took, of all threads together, and /cpu/classes/gc/total:cpu-seconds what all of it took.
func (s *Scheduler) Threads() ([]Thread, error) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	tids := make([]int, 0, len(entries))
	for _, entry := range entries {
		if tid, err := strconv.Atoi(entry.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	sort.Ints(tids)
	process := threadName(os.Getpid())
	var threads []Thread
	// The first started but for the main thread: its index and its start.
	first, firstStart := -1, uint64(math.MaxUint64)
	for _, tid := range tids {
		start, err := startTime(tid)
		if err != nil {
			continue // It has ended.
		}
		state, err := s.threads.get(tid)
		if errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t := Thread{TID: tid, Name: threadName(tid), Source: Unknown, State: state}
		// Within a tick, the lowest id counts.
		if tid != os.Getpid() && start < firstStart {
			first, firstStart = len(threads), start
		}
		declared := s.declared(tid, start)
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

func threadName(tid int) string {
	name, _ := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/comm")
	return strings.TrimSuffix(string(name), "\n")
}
