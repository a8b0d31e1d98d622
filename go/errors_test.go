// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestErrorsSayWhatToDoNext(t *testing.T) {
	for _, test := range []struct {
		err         error
		words       string
		errno       syscall.Errno
		unsupported bool
	}{
		{openFailure(syscall.ENOENT), "modprobe go_sched_class", syscall.ENOENT, true},
		{openFailure(syscall.ENOENT), "insmod go_sched_class.ko", syscall.ENOENT, true},
		{openFailure(syscall.EACCES), "usermod -aG gosched USER", syscall.EACCES, false},
		{openFailure(syscall.EACCES), "chgrp(1) and chmod(1)", syscall.EACCES, false},
		{openFailure(syscall.EMFILE), "too many open files", syscall.EMFILE, false},
		{versionFailure(0), "load the module of the release", syscall.EPROTO, false},
		{versionFailure(abiVersion + 1), "build the program with package gosched of", syscall.EPROTO, false},
		{returnRequest(7, 8).failed(syscall.EPERM, "because"), "cannot begin the work: there is no way back to priority 8 for thread 7: not permitted: because", syscall.EPERM, false},
		{setRequest(7, 8).failed(syscall.ESRCH, ""), "priority 8 to thread 7: no such thread", syscall.ESRCH, false},
		{setRequest(7, 8).failed(syscall.EPERM, "because"), "not permitted: because", syscall.EPERM, false},
		{setRequest(7, 8).failed(syscall.EBUSY, ""), "SCHED_DEADLINE", syscall.EBUSY, false},
		{setRequest(7, 8).failed(syscall.EOPNOTSUPP, ""), "load the module", syscall.EOPNOTSUPP, true},
		{setRequest(7, 8).failed(syscall.ENOSYS, ""), "no such system call", syscall.ENOSYS, true},
		{setRequest(7, 8).failed(syscall.ENOMEM, ""), "cannot allocate memory", syscall.ENOMEM, false},
	} {
		if !strings.Contains(test.err.Error(), test.words) || !errors.Is(test.err, test.errno) ||
			errors.Is(test.err, ErrUnsupported) != test.unsupported {
			t.Errorf("%v: want %q, %v, unsupported %v", test.err, test.words, test.errno, test.unsupported)
		}
	}
	denied, absent := openFailure(syscall.EACCES), openFailure(syscall.ENOENT)
	if err := joined([]error{absent, denied}); errors.Is(err, ErrUnsupported) || !errors.Is(err, syscall.EACCES) {
		t.Error(err)
	}
	if err := joined([]error{absent, absent}); !errors.Is(err, ErrUnsupported) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(Backend(9)); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if _, err := fallback(t).NewRole("urgent", 64); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

func TestPackageTakesNoC(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=1")
	list.Stderr = os.Stderr
	out, err := list.Output()
	must(t, err)
	for _, name := range strings.Fields(string(out)) {
		if name == "runtime/cgo" || name == "os/user" || name == "net" {
			t.Errorf("the package imports %s, which uses the C library where there is one", name)
		}
	}
}
