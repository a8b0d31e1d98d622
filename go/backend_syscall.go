// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"bytes"
	"errors"
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
	if err := checkFilter(SystemCall, last); err != nil {
		return nil, err
	}
	if err := tryGetattr(); err != nil {
		return nil, err
	}
	b := &syscallBackend{}
	if err := b.probe(); err != nil {
		return nil, err
	}
	return b, nil
}

// probe tries what the backend does, on a thread made for it, as a thread may always be
// lowered. The thread blocks meanwhile, so that it need not wait for a CPU.
func (b *syscallBackend) probe() error {
	tids, end := make(chan int), make(chan bool)
	defer close(end)
	go func() {
		// Never unlocked: the end of the goroutine ends the thread.
		runtime.LockOSThread()
		tids <- sys.Gettid()
		<-end
	}()
	to := target{tid: <-tids}
	var err error
	if to.start, err = startTime(to.tid); err != nil {
		return err
	}
	errno := b.change(to, 0, StartAtBase)
	if errno == 0 {
		r := b.find(to)
		errno = b.end(to, r)
		b.forget(to.tid, r)
	}
	if errno != 0 {
		return syscallFailure(errno)
	}
	return nil
}

// procSched is what /proc/TID/sched tells of a thread.
type procSched struct {
	prio, applied, ceiling Prio
	inherited              bool // The thread has prio from the one that created it.
}

// readProcSched returns no priorities and false if the kernel is built without
// CONFIG_SCHED_DEBUG, and the errors of readProc.
func readProcSched(tid int) (now procSched, shown bool, err error) {
	text, err := readProc(tid, "sched")
	shown = err == nil
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	return parseProcSched(text), shown, err
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

// change gives a thread a priority.
func (b *syscallBackend) change(to target, prio Prio, children Children) syscall.Errno {
	return b.replace(to, func(*record) (record, syscall.Errno) {
		return record{prio: prio, children: children}, 0
	}, func(record) syscall.Errno {
		return sys.SetSchedprio(to.tid, uint32(prio), uint32(children))
	})
}

// end ends the priority of a thread. The kernel ends it when one of the ordinary
// scheduling calls changes the thread. sched_setparam(2) with the real-time priority of
// the base is such a call, and changes nothing else; so it is made too where /proc cannot be
// read, as with no descriptor left.
func (b *syscallBackend) end(to target, r *record) syscall.Errno {
	now, shown, err := readProcSched(to.tid)
	if !shown {
		now.prio = r.prio
	}
	if err == nil && now.prio == None {
		return 0
	}
	base, errno := sys.GetAttr(to.tid)
	if errno != 0 {
		return errno
	}
	return sys.SetParam(to.tid, base.RTPriority)
}

func (b *syscallBackend) maySet(target, Prio) error { return nil }

func (b *syscallBackend) set(to target, prio Prio, children Children) error {
	return setRequest(to.tid, prio).bySyscall(b.change(to, prio, children))
}

func (b *syscallBackend) clear(to target) error {
	r := b.find(to)
	errno := b.end(to, r)
	if errno == 0 {
		b.forget(to.tid, r)
	}
	return clearRequest(to.tid).bySyscall(errno)
}

func (b *syscallBackend) get(of target) (Status, error) {
	r := b.find(of)
	now, shown, err := readProcSched(of.tid)
	if err != nil {
		return Status{}, getRequest(of.tid).unread(err)
	}
	if !shown {
		return Status{Prio: r.prio, Applied: r.prio, Ceiling: None, Children: r.children}, nil
	}
	status := Status{Prio: now.prio, Applied: now.applied, Ceiling: now.ceiling}
	switch {
	case now.prio == None:
	case now.prio == r.prio:
		status.Children = r.children
	case now.inherited:
		status.Children = Inherit
	}
	return status, nil
}

// mayReturn sets the priority that the thread has now, unless the ceiling tells that it
// may be set.
func (b *syscallBackend) mayReturn(to target, before Status, _ Prio) error {
	if before.Prio == None || before.Ceiling != None && before.Prio.surelyWithin(before.Ceiling) {
		return nil
	}
	return returnRequest(to.tid, before.Prio).bySyscall(b.change(to, before.Prio, before.Children))
}
