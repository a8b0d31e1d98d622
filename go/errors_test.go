// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
)

func TestErrorsSayWhatToDoNext(t *testing.T) {
	for _, test := range []struct {
		err         error
		words       string
		errno       syscall.Errno
		unsupported bool
	}{
		{openFailure(syscall.ENOENT, "/dev/null"), "modprobe go_sched_class", syscall.ENOENT, true},
		{openFailure(syscall.ENOENT, "/dev/null"), "insmod go_sched_class.ko", syscall.ENOENT, true},
		{openFailure(syscall.EACCES, "/dev/null"), "usermod -aG gosched USER", syscall.EACCES, false},
		{openFailure(syscall.EACCES, "/dev/null"), "chgrp(1) and chmod(1)", syscall.EACCES, false},
		{openFailure(syscall.EMFILE, "/dev/null"), "too many open files", syscall.EMFILE, false},
		{openFailure(syscall.ENXIO, "/dev/null"), "is a node of no device", syscall.ENXIO, true},
		{openFailure(syscall.ENODEV, "/dev/null"), "is a node of no device", syscall.ENODEV, true},
		{openFailure(syscall.EPERM, "/dev/null"), "--device /dev/go_sched\"", syscall.EPERM, false},
		{versionFailure(0), "load the module of the release", syscall.EPROTO, false},
		{versionFailure(sys.ABIVersion + 1), "build the program with package gosched of", syscall.EPROTO, false},
		{returnRequest(7, 8).failed(syscall.EPERM, "because"), "cannot find a way back to priority 8 for thread 7: not permitted: because", syscall.EPERM, false},
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
	denied, absent := openFailure(syscall.EACCES, "/dev/null"), openFailure(syscall.ENOENT, "/dev/null")
	if err := joinFailures([]error{absent, denied}); errors.Is(err, ErrUnsupported) || !errors.Is(err, syscall.EACCES) {
		t.Error(err)
	}
	if err := joinFailures([]error{absent, absent}); !errors.Is(err, ErrUnsupported) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	expectError(t, errorOf(Open(Backend(9))), syscall.EINVAL, "")
	expectError(t, errorOf(fallback(t).NewRole("urgent", 64)), syscall.EINVAL, "")
}

func TestNodeThatCannotBeOpenedIsToldByWhatItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	open := func(path string) error {
		_, errno := sys.Open(path)
		return openFailure(errno, path)
	}
	expectError(t, open(path), syscall.ENOENT, "there is no /dev/go_sched")
	expectError(t, open(t.TempDir()), syscall.EISDIR, "is not the device")
	must(t, syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0))
	expectError(t, open(path), syscall.ENXIO, "is not the device")
}

// openNodev is a child that prints why a device cannot be opened once it is mounted nodev.
func openNodev() (string, error) {
	const node = "/dev/null"
	for _, mount := range []struct {
		source, target string
		flags          uintptr
	}{
		{"none", "/", syscall.MS_REC | syscall.MS_PRIVATE},
		{node, node, syscall.MS_BIND},
		{"none", node, syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_NODEV},
	} {
		if err := syscall.Mount(mount.source, mount.target, "", mount.flags, ""); err != nil {
			return "", err
		}
	}
	_, errno := sys.Open(node)
	return fmt.Sprint(openFailure(errno, node)), nil
}

func TestRootDeviceThatIsMountedNodevIsNotAQuestionOfPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root mounts")
	}
	out := inMountNamespace(t, "openNodev")
	if !strings.Contains(out, "is on a filesystem that is mounted nodev") {
		t.Errorf("%s", out)
	}
}

func TestRefusalSaysWhichRuleItIs(t *testing.T) {
	for _, test := range []struct {
		prio, ceiling Prio
		baseNice      int32
		words         string
	}{
		{32, 32, 0, "another user's"},
		{33, 32, 0, "33 is above the thread's ceiling, 32; "},
		{33, 32, 0, "\"gosched ceiling 33 7\""},
		// With RLIMIT_RTPRIO, fair priorities that the thread does not own are below its ceiling.
		{0, 50, 0, "another user's"},
		{32, 50, 0, "another user's"},
		{33, 50, 0, "33 is below the thread's ceiling, 50, but"},
		{47, 50, 0, "\"gosched ceiling 50 7\""},
		{47, 50, -15, "another user's"},
		{22, 50, 10, "another user's"},
		{23, 50, 10, "23 is below the thread's ceiling, 50, but"},
		{48, 50, 0, "another user's"},
		{None, 50, 0, "another user's"},
	} {
		why := setRequest(7, test.prio).permission(test.ceiling, test.baseNice)
		if !strings.Contains(why, test.words) {
			t.Errorf("%+v: %s", test, why)
		}
	}
}

func TestCeilingTellsWhatIsSurelyAllowed(t *testing.T) {
	for _, test := range []struct {
		prio, ceiling Prio
		want          bool
	}{
		{0, 32, true}, {32, 32, true}, {33, 32, false}, {40, 47, true}, {48, 47, false},
		{15, 48, true}, {16, 48, false}, {47, 48, false}, {48, 48, true}, {49, 48, false},
	} {
		if got := test.prio.surelyWithin(test.ceiling); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
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
