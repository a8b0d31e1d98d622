// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"bytes"
	"runtime"
	"strconv"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// syscallBackend is the backend SystemCall. go_set_schedprio(2) only sets. What a thread
// has is read from /proc/TID/sched, or else from the records of what was set here.
type syscallBackend struct{ threadTable }

// openSyscall opens the backend, if it is the last one even where that may end the program.
func openSyscall(last bool) (*syscallBackend, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	// SECCOMP_MODE_FILTER, see proc(5).
	if ownStatus("Seccomp") == "2" && !last {
		return nil, filterFailure()
	}
	if err := tryGetattr(); err != nil {
		return nil, err
	}
	b := &syscallBackend{}
	if errno := b.probe(); errno != 0 {
		return nil, syscallFailure(errno)
	}
	return b, nil
}

// probe tries what the backend does, on a thread made for it, as a thread may always be
// lowered. The thread blocks meanwhile, so that it need not wait for a CPU.
func (b *syscallBackend) probe() syscall.Errno {
	tids, end := make(chan int), make(chan bool)
	defer close(end)
	go func() {
		// Never unlocked: the end of the goroutine ends the thread.
		runtime.LockOSThread()
		tids <- sys.Gettid()
		<-end
	}()
	tid := <-tids
	errno := b.change(tid, 0, StartAtBase)
	if errno != 0 {
		return errno
	}
	r, errno := b.find(tid)
	if errno == 0 {
		errno = b.end(tid, r)
	}
	b.forget(tid, r)
	return errno
}

// procSched is what /proc/TID/sched tells of a thread.
type procSched struct {
	prio, applied, ceiling Prio
	inherited              bool // The thread has prio from the one that created it.
}

// readProcSched returns false if the kernel is built without CONFIG_SCHED_DEBUG.
func readProcSched(tid int) (procSched, bool) {
	text, errno := readProc(tid, "sched")
	return parseProcSched(text), errno == 0
}

// parseProcSched returns None for what the text lacks, as that of a thread does which
// never had a priority.
func parseProcSched(text []byte) procSched {
	s := procSched{prio: None, applied: None, ceiling: None}
	for _, line := range bytes.Split(text, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		number, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil {
			continue
		}
		switch string(bytes.TrimSpace(name)) {
		case "go_sched.prio":
			s.prio = orNone(int32(number))
		case "go_sched.applied":
			s.applied = orNone(int32(number))
		case "go_sched.ceiling":
			s.ceiling = orNone(int32(number))
		case "go_sched.last_cause":
			s.inherited = number == sys.CauseFork
		}
	}
	return s
}

// prio returns the priority that a thread has, whoever set it.
func (b *syscallBackend) prio(tid int, r *record) Prio {
	if now, ok := readProcSched(tid); ok {
		return now.prio
	}
	return r.prio
}

// change gives a thread a priority.
func (b *syscallBackend) change(tid int, prio Prio, children Children) syscall.Errno {
	return b.replace(tid, func(*record) (record, syscall.Errno) {
		return record{prio: prio, children: children}, 0
	}, func(record) syscall.Errno {
		return sys.SetSchedprio(tid, uint32(prio), uint32(children))
	})
}

// end ends the priority of a thread. The kernel ends it when one of the ordinary
// scheduling calls changes the thread. sched_setparam(2) with the real-time priority of
// the base is such a call, and changes nothing else.
func (b *syscallBackend) end(tid int, r *record) syscall.Errno {
	if b.prio(tid, r) == None {
		return 0
	}
	base, errno := sys.GetAttr(tid)
	if errno != 0 {
		return errno
	}
	return sys.SetParam(tid, base.RTPriority)
}

func (b *syscallBackend) set(tid int, prio Prio, children Children) error {
	return setRequest(tid, prio).bySyscall(b.change(tid, prio, children))
}

func (b *syscallBackend) clear(tid int) error {
	r, errno := b.find(tid)
	if errno == 0 {
		errno = b.end(tid, r)
	}
	if errno == 0 {
		b.forget(tid, r)
	}
	return clearRequest(tid).bySyscall(errno)
}

func (b *syscallBackend) get(tid int) (State, error) {
	r, errno := b.find(tid)
	if errno != 0 {
		return State{}, getRequest(tid).failed(errno, "")
	}
	now, ok := readProcSched(tid)
	if !ok {
		return State{Prio: r.prio, Applied: r.prio, Ceiling: None, Children: r.children}, nil
	}
	state := State{Prio: now.prio, Applied: now.applied, Ceiling: now.ceiling}
	switch {
	case now.prio == None:
	case now.prio == r.prio:
		state.Children = r.children
	case now.inherited:
		state.Children = Inherit
	}
	return state, nil
}

// mayReturn sets the priority that the thread has now, unless the ceiling tells that it
// may be set.
func (b *syscallBackend) mayReturn(tid int, before State, _ Prio) error {
	if before.Prio == None || before.Ceiling != None && before.Prio.surelyWithin(before.Ceiling) {
		return nil
	}
	return returnRequest(tid, before.Prio).bySyscall(b.change(tid, before.Prio, before.Children))
}
