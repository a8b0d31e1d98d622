// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go_sched/gosched/internal/sys"
	"go_sched/gosched/internal/testenv"
)

// Tests are named by what they need, as tests/go/main.rs runs them inside the guest:
//
//	TestKernel...    go_sched, as any user
//	TestRoot...      go_sched, as root
//	TestUser...      go_sched, as an unprivileged user who may open the device
//	TestDenied...    go_sched, as one who may not
//	TestAbsent...    the patched kernel without the module
//	TestOverlay...   a build with the overlay and the tag overlay; what follows is as above
//	TestAny...       any kernel, as any user; in the guest, go_sched as well
//
// All others need the source tree, or nothing, and do not run in the guest.

// The main goroutine keeps the main thread, which never ends, so that no test gets it.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) { testenv.Main(m, children) }

// children are what tests start processes for, by name.
var children = map[string]func() (string, error){
	"askHidden":           askHidden,
	"doUnderAnInherited":  doUnderAnInherited,
	"lockWithoutRoom":     lockWithoutRoom,
	"nameOfMain":          nameOfMain,
	"openNodev":           openNodev,
	"otherProc":           otherProc,
	"putUnderAFilter":     putUnderAFilter,
	"putUnderAHardFilter": putUnderAHardFilter,
	"underAFilter":        underAFilter,
	"underAHardFilter":    underAHardFilter,
	"wayBack":             wayBack,
}

// open opens backends for a test that needs go_sched.
func open(t testing.TB, backends ...Backend) *Scheduler {
	t.Helper()
	s, err := Open(backends...)
	if err != nil {
		if !testenv.InGuest {
			t.Skip("needs go_sched, as the guest has it: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fallback opens SchedSetattr, which each kernel has.
func fallback(t testing.TB) *Scheduler {
	t.Helper()
	s, err := Open(SchedSetattr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onThread runs f on a thread that ends afterwards, and waits until it has ended.
func onThread(t testing.TB, f func()) {
	t.Helper()
	tids := make(chan int, 1)
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		tids <- syscall.Gettid()
		f()
	}()
	<-done
	tid := <-tids
	eventually(t, "a thread that its goroutine was locked to ends", func() bool { return !exists(tid) })
	if t.Failed() {
		t.FailNow()
	}
}

// exists tells whether this process has the thread.
func exists(tid int) bool {
	_, err := os.Stat("/proc/self/task/" + strconv.Itoa(tid))
	return err == nil
}

// eventually polls a condition, for far longer than a debug kernel needs under emulation.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not within the deadline: ", what)
		}
	}
}

// inForce returns the attributes in force for a thread, as the device tells them, or without
// a device those that the thread has without a Go priority.
func inForce(t testing.TB, tid int) sys.SchedAttr {
	t.Helper()
	a, errno := sys.GetAttr(tid)
	if errno != 0 {
		t.Fatalf("sched_getattr of thread %d: %v", tid, errno)
	}
	d, err := openDevice()
	if err != nil {
		return a
	}
	answer, errno := d.ask(tid)
	must(t, d.close())
	if errno != 0 {
		t.Fatalf("GO_SCHED_GET of thread %d: %v", tid, errno)
	}
	a.Policy, a.Nice, a.RTPriority, a.Runtime = answer.Policy, answer.Nice, answer.RTPriority, answer.SliceNS
	return a
}

// expect compares the priority of a thread, set and in force, with a priority or None.
func expect(t testing.TB, s *Scheduler, tid int, want Prio) {
	t.Helper()
	status, err := s.Get(tid)
	if err != nil {
		t.Fatal(err)
	}
	if status.Prio != want || status.Applied != want {
		t.Fatalf("thread %d has priority %v, and %v in force; want %v", tid, status.Prio, status.Applied, want)
	}
}

// expectInForce compares what is in force for the calling thread.
func expectInForce(t testing.TB, want sys.SchedAttr) {
	t.Helper()
	if got := inForce(t, 0); got != want {
		t.Errorf("in force is %+v, want %+v", got, want)
	}
}

// expectError compares an error with what it shall wrap, and a part of its message.
func expectError(t testing.TB, err, target error, words string) {
	t.Helper()
	if !errors.Is(err, target) || !strings.Contains(err.Error(), words) {
		t.Errorf("got error %v, want %v: %s", err, target, words)
	}
}

// errorOf drops the other result of a call.
func errorOf[T any](_ T, err error) error { return err }

// assignments returns the number of threads with a role.
func assignments(s *Scheduler) int {
	count := 0
	s.roles.Range(func(_, _ any) bool {
		count++
		return true
	})
	return count
}

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inMountNamespace returns what a call of testenv prints in a mount namespace of its own.
func inMountNamespace(t *testing.T, call string) string {
	t.Helper()
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), testenv.Call(call))
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := child.Output()
	if errors.Is(err, os.ErrPermission) && !testenv.InGuest {
		t.Skip("this system lets nobody make a namespace: ", err)
	}
	must(t, err)
	return string(out)
}
