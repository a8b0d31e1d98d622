// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// ErrUnsupported matches, by errors.Is, an error that says that the kernel, the module or the
// backend in use lacks what was asked for.
var ErrUnsupported = errors.New("gosched: not supported here")

// ErrNotBegun matches, by errors.Is, an error of Do or RealtimeLoop that has not run the work.
var ErrNotBegun = errors.New("gosched: not begun")

// notBegun is the error of work that was not run.
type notBegun struct{ cause error }

func (e notBegun) Error() string {
	return "gosched: not begun: " + strings.TrimPrefix(e.cause.Error(), "gosched: ")
}

func (e notBegun) Unwrap() error { return e.cause }

func (e notBegun) Is(target error) bool { return target == ErrNotBegun }

// failure is an error that says what to do next. It wraps errno unless that is 0, so
// errors.Is finds the number, and fs.ErrNotExist and fs.ErrPermission through it.
//
// docs/troubleshooting.md explains the messages; troubleshooting_test.go compares.
type failure struct {
	text        string
	errno       syscall.Errno
	unsupported bool
}

func (f *failure) Error() string { return "gosched: " + f.text }

func (f *failure) Unwrap() error {
	if f.errno == 0 {
		return nil
	}
	return f.errno
}

func (f *failure) Is(target error) bool { return f.unsupported && target == ErrUnsupported }

// unsupported returns an error that matches ErrUnsupported.
func unsupported(errno syscall.Errno, format string, values ...any) *failure {
	return &failure{fmt.Sprintf(format, values...), errno, true}
}

// refused returns an error that wraps errno alone.
func refused(errno syscall.Errno, format string, values ...any) *failure {
	return &failure{fmt.Sprintf(format, values...), errno, false}
}

// noPriorityFailure returns the error of a number, or a text, that is no priority.
func noPriorityFailure(text string) error {
	return refused(syscall.EINVAL, "%s is not a priority: they are 0 to %d, and 32 is that of "+
		"an ordinary thread", text, MaxPrio)
}

// noOverlayFailure returns the error of a program whose goroutines cannot have priorities.
func noOverlayFailure() error {
	return unsupported(syscall.ENOSYS, "goroutines have no priorities: the program was built without "+
		"the overlay, or by another Go than the overlay is for; build it with -overlay "+
		"\"$(gosched-overlay)\"")
}

// otherOverlayFailure returns the error of a program whose overlay is not of this package.
func otherOverlayFailure(version int) error {
	return unsupported(syscall.EPROTO, "goroutines have no priorities: the overlay has version %d, and "+
		"this package needs %d; build gosched-overlay and the program from one source",
		version, runtimeTableVersion)
}

// elsewhereFailure returns the error of what another system than Linux lacks.
func elsewhereFailure(what, system string) error {
	return unsupported(syscall.ENOSYS, "%s is of Linux, and this program was built for %s", what, system)
}

// procFailure returns the error of a process that is not in /proc, or by the id of another pid
// namespace.
func procFailure() error {
	return unsupported(syscall.ENOENT, "/proc is not that of this pid namespace: have root run "+
		"\"mount -t proc proc /proc\" in a mount namespace of this one, see unshare(1)")
}

// readFailure returns the error of a file of /proc that cannot be read.
func readFailure(path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // Without the path.
	}
	advice := ""
	switch errno {
	case syscall.EMFILE:
		advice = ": no descriptor is left to read it by; raise their number, see \"ulimit -n\""
	case syscall.ENFILE:
		advice = ": no descriptor is left in the system; have root raise fs.file-max, see proc(5)"
	case syscall.ENOENT, syscall.EACCES, syscall.EPERM:
		advice = ": /proc hides the processes of other users, see hidepid= in proc(5): run as root"
	}
	return refused(errno, "cannot read %s: %v%s", path, err, advice)
}

// openFailure returns the error of a device that cannot be opened, by what is at its path.
func openFailure(errno syscall.Errno, path string) error {
	switch errno {
	case syscall.ENOENT:
		return unsupported(errno, "there is no %s: the kernel lacks go_sched, or the module is not "+
			"loaded; \"gosched check\" shows which; to load it, run \"modprobe go_sched_class\" as "+
			"root, or \"insmod go_sched_class.ko\" where it was built", Path)
	case syscall.ENXIO, syscall.ENODEV, syscall.EISDIR:
		// The first two are the errors of a socket and of a block device, too.
		if errno == syscall.EISDIR || !isCharDevice(path) {
			return notTheDeviceFailure(errno)
		}
		return unsupported(errno, "%s is a node of no device: load the module, or if it is loaded "+
			"remove this old node and load it again; a container gets the right one when it is "+
			"started again", Path)
	case syscall.EACCES:
		if sys.IsNodev(path) {
			return nodevFailure(errno)
		}
		return refused(errno, "no permission to open %s, which %s: have root run \"usermod -aG "+
			"gosched USER\" where the packages made that group, and log in again; elsewhere, "+
			"chgrp(1) and chmod(1) the device; or run as root", Path, permissions(path))
	case syscall.EPERM:
		return refused(errno, "%s is refused whoever asks, as the device filter of a container does: "+
			"have the container started with \"--device %[1]s\"", Path)
	}
	return refused(errno, "cannot open %s: %v", Path, errno)
}

// nodevFailure returns the error of a node on a filesystem without devices.
func nodevFailure(errno syscall.Errno) error {
	return refused(errno, "%s is on a filesystem that is mounted nodev, where nobody may open a "+
		"device: mount it with the option dev", Path)
}

// notTheDeviceFailure returns the error of something else that has the name of the device.
func notTheDeviceFailure(errno syscall.Errno) error {
	return refused(errno, "%s is not the device of the module go_sched_class: remove it, and load "+
		"the module", Path)
}

// isCharDevice tells whether there is a character device, or nothing to look at any more.
func isCharDevice(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode()&os.ModeCharDevice != 0
}

// permissions says who may open the device.
func permissions(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "cannot be looked at"
	}
	// The number of the group, as package os/user would bring along the C library.
	return fmt.Sprintf("has mode %#o and group id %d", info.Mode().Perm(), sys.Group(info))
}

// versionFailure returns the error of a module of another ABI.
func versionFailure(module int) error {
	if module < sys.ABIVersion {
		return refused(syscall.EPROTO, "the loaded module has ABI version %d, older than this "+
			"program's %d: load the module of the release that package gosched is from",
			module, sys.ABIVersion)
	}
	return refused(syscall.EPROTO, "the loaded module has ABI version %d, newer than this "+
		"program's %d: build the program with package gosched of the module's release",
		module, sys.ABIVersion)
}

// noVersionFailure returns the error of a device that refuses to tell its ABI.
func noVersionFailure(errno syscall.Errno) error {
	return refused(errno, "%s does not tell its version: %v", Path, errno)
}

// getattrFailure returns the error of a system that does not tell a thread's attributes.
func getattrFailure(errno syscall.Errno) error {
	return unsupported(errno, "the kernel, or a filter of system calls such as a "+
		"container's, refuses sched_getattr(2): %v; allow it", errno)
}

// filterFailure returns the error of a system call that is not tried.
func filterFailure(kind Backend) error {
	name := map[Backend]string{SystemCall: "SystemCall", SchedSetattr: "SchedSetattr"}[kind]
	return unsupported(0, "%v is not tried under a filter of system calls, which might end the "+
		"program for it: allow it there, and name %s last", kind, name)
}

// syscallFailure returns the error of a backend SystemCall that cannot be opened.
func syscallFailure(errno syscall.Errno) error {
	switch errno {
	case syscall.EOPNOTSUPP:
		return unsupported(errno, "the kernel has go_set_schedprio(2) but no mapping "+
			"of Go priorities: load the module go_sched_class")
	case syscall.ENOSYS:
		return unsupported(errno, "the kernel has no go_set_schedprio(2), or a filter "+
			"of system calls such as a container's hides it: %v; \"gosched check\" says "+
			"what is missing", errno)
	case syscall.EBUSY:
		return refused(errno, "go_set_schedprio(2) has no say while a sched_ext scheduler runs "+
			"all threads: end that first")
	}
	return unsupported(errno, "a filter of system calls such as a container's, or a security "+
		"module, refuses go_set_schedprio(2) or sched_setparam(2): %v; allow both", errno)
}

// lockMemoryFailure returns the error of a process whose memory cannot be locked.
func lockMemoryFailure(errno syscall.Errno) error {
	return refused(errno, "cannot lock the memory of the process: %v; raise "+
		"RLIMIT_MEMLOCK, with \"ulimit -l\" or LimitMEMLOCK= of systemd, or have CAP_IPC_LOCK; "+
		"or run the loop with KeepMemory", errno)
}

// boundFailure returns the error of Do on a thread that is bound to a hint.
func boundFailure(tid int) error {
	return refused(syscall.EBUSY, "thread %d is bound to a hint, which would "+
		"take the priority away again: use the hint's Set", tid)
}

// noReturnFailure returns the error of Do where sched_setattr(2) could not raise the thread
// to where it was.
func noReturnFailure(tid int, prio Prio) error {
	return refused(syscall.EPERM, "sched_setattr(2) would not bring thread %d "+
		"back from priority %v: that takes CAP_SYS_NICE or a higher RLIMIT_NICE or "+
		"RLIMIT_RTPRIO, or a kernel with go_sched; or lower a thread for good, with "+
		"runtime.LockOSThread and SetCurrent", tid, prio)
}

// request is what was asked for a thread, as an error names it.
type request struct {
	verb string // What was to be done, up to the word "thread", with a %v for the priority.
	tid  int
	prio Prio // None, if the request has none.
}

func setRequest(tid int, prio Prio) request {
	return request{"give priority %v to", tid, prio}
}

// returnRequest is the request that Do makes before it begins.
func returnRequest(tid int, prio Prio) request {
	return request{"find a way back to priority %v for", tid, prio}
}

func clearRequest(tid int) request { return request{"clear the priority of", tid, None} }

func getRequest(tid int) request { return request{"get the priority of", tid, None} }

func bindRequest(tid int) request { return request{"bind", tid, None} }

func followRequest(tid int) request { return request{"have the kernel follow the hint of", tid, None} }

func unbindRequest(tid int) request { return request{"unbind", tid, None} }

func (r request) String() string {
	verb := strings.Replace(r.verb, "%v", r.prio.String(), 1)
	return fmt.Sprintf("cannot %s thread %d", verb, r.tid)
}

// unread returns the error of a request that needs what readProc returned an error for.
func (r request) unread(err error) error {
	if err == syscall.ESRCH {
		return r.failed(syscall.ESRCH, "")
	}
	return err
}

// failed returns the error of a request that the kernel refused. Permission names the rule
// that refuses it, as each backend has its own.
func (r request) failed(errno syscall.Errno, permission string) error {
	switch errno {
	case syscall.ESRCH:
		return refused(errno, "%v: no such thread, or it is exiting; list the threads again", r)
	case syscall.EPERM, syscall.EACCES:
		return refused(errno, "%v: not permitted: %s", r, permission)
	case syscall.EBUSY:
		return refused(errno, "%v: it is SCHED_DEADLINE, or a sched_ext scheduler runs all "+
			"threads: end that first", r)
	case syscall.EOPNOTSUPP:
		return unsupported(errno, "%v: the scheduler has no mapping of Go priorities: "+
			"load the module go_sched_class", r)
	case syscall.ENOSYS:
		return unsupported(errno, "%v: the kernel has no such system call, or a filter "+
			"of system calls such as a container's hides it", r)
	}
	return refused(errno, "%v: %v", r, errno)
}

const (
	// notPermitted is the rule of the kernel on whose threads may be changed.
	notPermitted = "the thread is another user's, which takes CAP_SYS_NICE, or the kernel's own, " +
		"which has no Go priority"
	// setattrPermission is the rule of sched_setattr(2).
	setattrPermission = "sched_setattr(2) takes CAP_SYS_NICE, RLIMIT_NICE or RLIMIT_RTPRIO " +
		"to raise a thread, even to where it was before, and CAP_SYS_NICE for one of another user; " +
		"a kernel with go_sched lets a user bring his own threads back"
)

// permission names the rule that refuses a request for a thread with this ceiling and the
// nice value of this base.
func (r request) permission(ceiling Prio, baseNice int32) string {
	switch {
	case r.prio == None:
	case r.prio > ceiling:
		return fmt.Sprintf("%d is above the thread's ceiling, %d; unless it is a kernel thread, "+
			"root raises that with \"gosched ceiling %d %d\", and CAP_SYS_NICE, RLIMIT_NICE "+
			"or RLIMIT_RTPRIO lift it", r.prio, ceiling, r.prio, r.tid)
	case !r.prio.surelyWithin(ceiling) && r.prio.nice() < baseNice:
		return fmt.Sprintf("%d is below the thread's ceiling, %d, but its nice value is not one that "+
			"the thread owns: CAP_SYS_NICE or RLIMIT_NICE lift that, and root does with \"gosched "+
			"ceiling %d %d\", unless the thread is another user's", r.prio, ceiling, ceiling, r.tid)
	}
	return notPermitted
}

// bySyscall returns the error of a request that the backend SystemCall made, nil for 0. The
// backend may not know the ceiling.
func (r request) bySyscall(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	why := "the thread is another user's, which takes CAP_SYS_NICE"
	if r.prio != None {
		why = fmt.Sprintf("%d is above the thread's ceiling, which \"gosched get %d\" shows and "+
			"root raises with \"gosched ceiling %d %d\", or below it and not one that the thread "+
			"owns, or the thread is another user's, which takes CAP_SYS_NICE", r.prio, r.tid, r.prio, r.tid)
	}
	return r.failed(errno, why)
}

// goPriorityFailure returns the error of sched_setattr(2) on a thread with a Go priority.
func goPriorityFailure(r request, now Prio) error {
	return refused(syscall.EBUSY, "%v: it has Go priority %v, which sched_setattr(2) would end, "+
		"and not bring back: open Device or SystemCall, or run \"gosched clear %d\" first",
		r, now, r.tid)
}

// closedFailure returns the error of a request to a closed device.
func closedFailure(r request) error {
	return fmt.Errorf("%w: %v: open it anew", os.ErrClosed, r)
}

// unboundFailure returns the error of a request for a hint that was unbound.
func unboundFailure(r request) error {
	return fmt.Errorf("%w: %v: it was unbound before: call Unbind once, and last", os.ErrClosed, r)
}

// boundAlreadyFailure returns the error of Bind on a thread that is bound.
func boundAlreadyFailure(tid int, errno syscall.Errno) error {
	return refused(errno, "%v: it is bound already: use the Hint that Bind "+
		"returned first, or Unbind it", bindRequest(tid))
}

// noSlotFailure returns the error of Bind when no slot is free.
func noSlotFailure(tid int) error {
	return refused(syscall.ENOSPC, "%v: all %d slots of the device are bound: Unbind hints "+
		"that are not needed, or open it once more", bindRequest(tid), sys.HintMaxSize/sys.SlotSize)
}

// joinFailures makes one error of several. It is unsupported if all are.
func joinFailures(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	all := &failure{unsupported: true}
	var texts []string
	for _, err := range failures {
		var each *failure
		if !errors.As(err, &each) {
			return err
		}
		texts = append(texts, each.text)
		// The number of one that privilege would lift comes before the others.
		if !each.unsupported {
			all.unsupported = false
		}
		if all.errno == 0 || !each.unsupported {
			all.errno = each.errno
		}
	}
	all.text = strings.Join(texts, ". Also, ")
	return all
}
