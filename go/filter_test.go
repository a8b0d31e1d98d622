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
	const setSchedprio, setattr, killProcess, refuse = 400, 314, 0x80000000, 0x00050000
	return "", testenv.CallFiltered("underAFilter", map[uint32]uint32{
		setSchedprio: killProcess,
		setattr:      refuse | uint32(syscall.EPERM),
	})
}

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
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers in the filter are those of x86-64")
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), testenv.Call("putUnderAFilter"))
	child.Stderr = os.Stderr
	out, err := child.Output()
	must(t, err)
	lines := strings.Split(string(out), "\n")
	first := Device
	if strings.HasPrefix(lines[0], SchedSetattr.String()) {
		first = SchedSetattr
	}
	if want := fmt.Sprintf("%v: <nil>\n%v: <nil>\n", first, SchedSetattr); string(out) != want {
		t.Errorf("got %s, want %s", out, want)
	}
}
