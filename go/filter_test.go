// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
	"go_sched/gosched/internal/testenv"
)

// putUnderAFilter is a child that lowers itself, and becomes underAFilter.
func putUnderAFilter() (string, error) {
	base, errno := sys.GetAttr(0)
	if errno != 0 {
		return "", errno
	}
	if errno := sys.SetAttr(0, Prio(8).attributes(base)); errno != 0 {
		return "", errno
	}
	const refuse = 0x00050000
	return "", testenv.CallFiltered("underAFilter", map[uint32]uint32{
		nrSetSchedprio: killProcess,
		nrSetattr:      refuse | uint32(syscall.EPERM),
	})
}

// Numbers of x86-64 and an action of seccomp(2).
const nrSetSchedprio, nrSetattr, nrGetattr, killProcess = 400, 314, 315, 0x80000000

// underAFilter prints which backends open, and the errors of work at what the thread has.
func underAFilter() (string, error) {
	text := ""
	for _, backends := range [][]Backend{{Device, SystemCall, SchedSetattr}, {SystemCall, SchedSetattr}} {
		s, err := Open(backends...)
		if err != nil {
			return text, err
		}
		text += fmt.Sprintf("%v: %v\n", s.Backend(), s.Do(8, func() {}))
	}
	return text, nil
}

// A filter that does not know go_set_schedprio(2) may end the program that calls it, and one
// that knows sched_setattr(2) may refuse what changes nothing. The guest's kernel has no filters.
func TestFilterNeitherEndsNorStopsTheProgram(t *testing.T) {
	out := filtered(t, "putUnderAFilter")
	lines := strings.Split(out, "\n")
	first := Device
	if strings.HasPrefix(lines[0], SchedSetattr.String()) {
		first = SchedSetattr
	}
	if want := fmt.Sprintf("%v: <nil>\n%v: <nil>\n", first, SchedSetattr); out != want {
		t.Errorf("got %s, want %s", out, want)
	}
}

// putUnderAHardFilter is a child that becomes underAHardFilter.
func putUnderAHardFilter() (string, error) {
	return "", testenv.CallFiltered("underAHardFilter", map[uint32]uint32{
		nrSetSchedprio: killProcess,
		nrSetattr:      killProcess,
		nrGetattr:      killProcess,
	})
}

// underAHardFilter prints which backends open, and the errors of work at a priority.
func underAHardFilter() (string, error) {
	text := ""
	for _, backends := range [][]Backend{{NoOp}, {SchedSetattr, NoOp}, {SystemCall, SchedSetattr, NoOp}} {
		s, err := Open(backends...)
		if err != nil {
			return text, err
		}
		text += fmt.Sprintf("%v: %v\n", s.Backend(), s.Do(8, func() {}))
	}
	return text, nil
}

// A program whose last backend makes no such call goes on without a priority.
func TestFilterThatKnowsNoPrioritiesDoesNotEndTheProgram(t *testing.T) {
	if want, got := strings.Repeat(NoOp.String()+": <nil>\n", 3), filtered(t, "putUnderAHardFilter"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// filtered returns what a child prints that puts itself under a filter.
func filtered(t *testing.T, call string) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers in the filter are those of x86-64")
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), testenv.Call(call))
	child.Stderr = os.Stderr
	out, err := child.Output()
	must(t, err)
	return string(out)
}
