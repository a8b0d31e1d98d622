// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
	"go_sched/gosched/internal/testenv"
)

// The mapping here is that of the module, which the command prints in a test of its own.
func TestMappingIsThatOfTheModule(t *testing.T) {
	text, err := os.ReadFile("../tools/cli/tests/cmd/map.trycmd")
	must(t, err)
	rows := regexp.MustCompile(`(?m)^ *(\d+) +(?:idle|fair|rt) +(SCHED_\w+) +(\S+) +(\S+) +(\S+) +\S+$`).
		FindAllStringSubmatch(string(text), -1)
	if len(rows) != sys.Levels {
		t.Fatalf("%d levels", len(rows))
	}
	policies := map[string]uint32{"SCHED_IDLE": sys.SchedIdle, "SCHED_OTHER": sys.SchedOther, "SCHED_RR": sys.SchedRR}
	number := func(text string) int64 {
		if text == "-" {
			return 0
		}
		n, err := strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64)
		must(t, err)
		return n
	}
	for i, row := range rows {
		got := Prio(i).attributes(sys.SchedAttr{})
		// The slice is printed in ms with three places.
		want := sys.SchedAttr{Policy: policies[row[2]], Nice: int32(number(row[3])), RTPriority: uint32(number(row[4]))}
		slice := (got.Runtime + 500) / 1000
		want.Runtime = got.Runtime
		if number(row[1]) != int64(i) || got != want || slice != uint64(number(row[5])) {
			t.Errorf("%d: got %+v, the tool prints %v", i, got, row[0])
		}
	}
}

func TestPermissionRulesAreThoseOfTheKernel(t *testing.T) {
	// Without privilege and limits.
	normal := sys.SchedAttr{}
	for _, test := range []struct {
		from, to sys.SchedAttr
		want     bool
	}{
		{normal, normal, true},
		{Prio(24).attributes(normal), normal, false},
		{normal, Prio(24).attributes(normal), true},
		{Prio(8).attributes(normal), normal, false},
		{Prio(8).attributes(normal), Prio(0).attributes(normal), true},
		{normal, Prio(50).attributes(normal), false},
		{Prio(50).attributes(normal), Prio(49).attributes(normal), true},
		{Prio(50).attributes(normal), Prio(51).attributes(normal), false},
		{Prio(50).attributes(normal), normal, true},
		{Prio(50).attributes(normal), Prio(8).attributes(normal), true},
	} {
		if got := allowed(test.from, test.to, 0, 0); got != test.want {
			t.Errorf("%+v to %+v: %v", test.from, test.to, got)
		}
	}
	if !allowed(Prio(8).attributes(normal), normal, 20, 0) || allowed(Prio(24).attributes(normal), normal, 19, 0) || !allowed(normal, Prio(50).attributes(normal), 0, 3) || allowed(normal, Prio(51).attributes(normal), 0, 3) {
		t.Error("a limit is not what it is for the kernel")
	}
}

// wayBack is a child that prints whether Do begins at a lower priority, and the error of Do
// at the thread's own.
func wayBack() (string, error) {
	s, err := Open(SchedSetattr)
	if err != nil {
		return "", err
	}
	begun := false
	if err := s.Do(8, func() { begun = true }); !errors.Is(err, syscall.EPERM) {
		return "", fmt.Errorf("not refused, but %v", err)
	}
	return fmt.Sprint(begun, s.Do(niceZero, func() {})), nil
}

// Only privilege of the initial user namespace raises a thread again.
func TestAnyRootOfAUserNamespaceHasNoWayBack(t *testing.T) {
	all := uint32(math.MaxUint32)
	for name, ids := range map[string][]syscall.SysProcIDMap{
		"unshare -r": {{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		// Needs root. The map of this namespace is that of the initial one.
		"all ids": {{ContainerID: 0, HostID: 0, Size: int(all)}},
	} {
		// 32 bits have no room for the number of all.
		if ids[0].Size < 0 || ids[0].Size > 1 && os.Geteuid() != 0 {
			continue
		}
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), testenv.Call("wayBack"))
		child.Stderr = os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids}
		out, err := child.Output()
		if errors.Is(err, os.ErrPermission) && !testenv.InGuest {
			t.Skip("this system lets nobody make a user namespace: ", err)
		}
		must(t, err)
		if want := "false <nil>"; string(out) != want {
			t.Errorf("%s: got %s, want %s", name, out, want)
		}
	}
}
