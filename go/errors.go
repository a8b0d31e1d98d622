// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// ErrUnsupported is what errors.Is finds where the kernel, the module or the backend in
// use does not have what was asked for.
var ErrUnsupported = errors.New("gosched: not supported here")

// failure is an error that says what to do next. Unless errno is 0, errors.Is finds it,
// and through it fs.ErrNotExist and fs.ErrPermission.
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

// openFailure says why the device cannot be opened.
func openFailure(errno syscall.Errno) error {
	switch errno {
	case syscall.ENOENT, syscall.ENODEV, syscall.ENXIO:
		return unsupported(errno, "there is no %s: the module is not loaded; run "+
			"\"modprobe go_sched_class\" as root where the packages are, \"insmod go_sched_class.ko\" "+
			"elsewhere, or \"gosched check\" to see what is missing", Path)
	case syscall.EACCES, syscall.EPERM:
		return refused(errno, "no permission to open %s, which %s: have root run \"usermod -aG "+
			"gosched USER\" where the packages made that group, and log in again; elsewhere, "+
			"chgrp(1) and chmod(1) the device; or run as root", Path, permissions())
	}
	return refused(errno, "cannot open %s: %v", Path, errno)
}

// permissions says who may open the device.
func permissions() string {
	info, err := os.Stat(Path)
	if err != nil {
		return "cannot be looked at"
	}
	owner := info.Sys().(*syscall.Stat_t)
	// By its number, as package os/user would bring along the C library.
	return fmt.Sprintf("has mode %#o and group id %d", info.Mode().Perm(), owner.Gid)
}

// versionFailure says what to do about a module of another ABI.
func versionFailure(module int) error {
	if module < abiVersion {
		return refused(syscall.EPROTO, "the loaded module has ABI version %d, older than this "+
			"program's %d: load the module of the release that package gosched is from",
			module, abiVersion)
	}
	return refused(syscall.EPROTO, "the loaded module has ABI version %d, newer than this "+
		"program's %d: build the program with package gosched of the module's release",
		module, abiVersion)
}

// request is what was asked for a thread, for the words of an error.
type request struct {
	verb string // What was to be done, up to the word "thread".
	tid  int
	prio Prio // None, if the request has none.
}

func setRequest(tid int, prio Prio) request {
	return request{fmt.Sprintf("give priority %v to", prio), tid, prio}
}

// returnRequest is one that Do makes before it begins.
func returnRequest(tid int, prio Prio) request {
	return request{fmt.Sprintf("begin the work: there is no way back to priority %v for", prio), tid, prio}
}

func clearRequest(tid int) request { return request{"clear the priority of", tid, None} }

func getRequest(tid int) request { return request{"get the priority of", tid, None} }

func (r request) String() string { return fmt.Sprintf("cannot %s thread %d", r.verb, r.tid) }

// failed says why the kernel refused a request. Permission is the rule that does so, as
// the backends have their own.
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

// joined is several errors in one sentence each.
func joined(failures []error) error {
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
		// Of several the one speaks that privilege would lift.
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
