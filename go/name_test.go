// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go_sched/gosched/internal/testenv"
)

func TestAnyThreadIsCalledByItsRole(t *testing.T) {
	for _, backends := range [][]Backend{{Device, NoOp}, {NoOp}} {
		s := open(t, backends...)
		role := func(name string) *Role {
			t.Helper()
			r, err := s.NewRole(name, 16)
			must(t, err)
			return r
		}
		onThread(t, func() {
			called := func(want string) {
				t.Helper()
				if name, err := threadName(syscall.Gettid()); name != want {
					t.Errorf("the thread is called %q, %v; want %q", name, err, want)
				}
			}
			own, err := threadName(os.Getpid())
			must(t, err)
			called(own)
			must(t, role("compaction").Do(func() {
				called("compaction")
				must(t, s.Do(8, func() { called("compaction") }))
				must(t, role("fsync").Do(func() { called("fsync") }))
				called("compaction")
				func() {
					defer func() { _ = recover() }()
					must(t, role("index").Do(func() { panic("on purpose") }))
				}()
				called("compaction")
			}))
			called(own)
			// A letter is cut off as a whole.
			must(t, role("réplications-été").Do(func() { called("réplications-") }))
			hint, err := role("compaction").Bind()
			must(t, err)
			called("compaction")
			must(t, hint.Unbind())
			called(own)
			if err := errorOf(s.NewRole("urgent", 64)); err == nil {
				t.Error("no error")
			}
		})
	}
}

// nameOfMain is a child that prints what the main thread, and so the process, is called.
func nameOfMain() (string, error) {
	s, err := Open(NoOp)
	if err != nil {
		return "", err
	}
	role, err := s.NewRole("compaction", 8)
	if err != nil {
		return "", err
	}
	name, failure := "", error(nil)
	err = role.Do(func() { name, failure = threadName(os.Getpid()) })
	if err == nil {
		err = failure
	}
	return name, err
}

func TestAnyProcessKeepsItsName(t *testing.T) {
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), testenv.Call("nameOfMain"))
	child.Stderr = os.Stderr
	out, err := child.Output()
	must(t, err)
	if string(out) != "exe" {
		t.Errorf("the process is called %q", out)
	}
}
