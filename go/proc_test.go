// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/testenv"
)

// otherProc is a child in a pid namespace of its own, with the /proc of its parent. It prints
// what each backend answers, and what it answers once there is no /proc.
func otherProc() (string, error) {
	text := ""
	look := func() {
		for _, backend := range []Backend{Device, SystemCall, SchedSetattr} {
			s, err := Open(backend)
			if err == nil {
				text += fmt.Sprintf("%v: do %v, ", backend, s.Do(niceZero, func() {}))
				runtime.LockOSThread()
				hint, err := s.Bind()
				if err == nil {
					err = hint.Unbind()
				}
				text += fmt.Sprintf("bind %v, ", err)
				runtime.UnlockOSThread()
				_, err = s.Threads()
				text += fmt.Sprintf("threads %v\n", err)
			} else {
				text += fmt.Sprintf("%v: open %v, %v\n", backend, errors.Is(err, ErrUnsupported), err)
			}
		}
	}
	look()
	// The device stays where it is: /proc alone is covered.
	if err := syscall.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		return text, err
	}
	look()
	return text, nil
}

func TestIdsOfTheProcessTellItsNamespaceFromOthers(t *testing.T) {
	status := func(ids string) []byte {
		return []byte("Name:\tNSpid:\\nNSpid:\t1\t2\nNStgid:\t7\n" + ids + "NSpgid:\t7\n")
	}
	for ids, own := range map[string]bool{
		"NSpid:\t7\n": true, "": true, "NSpid:\t7\t1\n": false, "NSpid:\t7\t7\n": false,
	} {
		if ofOwnNamespace(status(ids)) != own {
			t.Errorf("%q", ids)
		}
	}
}

func TestAnyOtherProcIsNotTakenForThatOfTheNamespace(t *testing.T) {
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), testenv.Call("otherProc"))
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
	}
	out, err := child.Output()
	if errors.Is(err, os.ErrPermission) && !testenv.InGuest {
		t.Skip("this system lets nobody make a namespace: ", err)
	}
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 6 {
		t.Fatalf("%s", out)
	}
	for _, line := range lines {
		whole := strings.Contains(line, "gosched: /proc is not that of this pid namespace") ||
			!testenv.InGuest && strings.HasPrefix(line, Device.String()+": open")
		if strings.HasPrefix(line, Device.String()+": do") {
			// The device needs no /proc, but for the list.
			whole = whole && strings.Contains(line, "do <nil>, bind <nil>, threads gosched")
		} else {
			whole = whole && strings.Contains(line, ": open true, ")
		}
		if !whole {
			t.Error(line)
		}
	}
}
