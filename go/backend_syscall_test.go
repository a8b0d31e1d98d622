// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
	"go_sched/gosched/internal/testenv"
)

// The tests set priorities by the device too, and read them there. The backend SystemCall
// reads them from /proc alone.

func TestKernelSystemCallIsABackend(t *testing.T) {
	device, s := open(t), open(t, SystemCall)
	onThread(t, func() {
		base := inForce(t, 0)
		must(t, s.Set(0, 24, Inherit))
		status, err := device.Get(0)
		must(t, err)
		if status.Prio != 24 || status.Children != Inherit {
			t.Fatalf("%+v", status)
		}
		must(t, s.Do(8, func() { expect(t, device, 0, 8) }))
		status, err = device.Get(0)
		must(t, err)
		if status.Prio != 24 || status.Children != Inherit {
			t.Fatalf("%+v", status)
		}
		must(t, s.Clear(0))
		expect(t, device, 0, None)
		expect(t, s, 0, None)
		expectInForce(t, base)
		expectError(t, errorOf(s.Bind()), ErrUnsupported, "")
	})
}

func TestKernelSystemCallReturnsToAnOuterPriority(t *testing.T) {
	device, s := open(t), open(t, SystemCall)
	onThread(t, func() {
		base := inForce(t, 0)
		must(t, device.Set(0, 24, StartAtBase))
		outer, err := device.Get(0)
		must(t, err)
		if status, err := s.Get(0); err != nil || status != outer {
			t.Errorf("got %+v, %v, want %+v", status, err, outer)
		}
		must(t, s.Do(8, func() {
			expect(t, device, 0, 8)
			must(t, s.Do(16, func() { expect(t, device, 0, 16) }))
			expect(t, device, 0, 8)
		}))
		if status, err := device.Get(0); err != nil || status != outer {
			t.Errorf("got %+v, %v, want %+v", status, err, outer)
		}
		// Below the outer priority the base is what it was.
		must(t, device.Clear(0))
		expectInForce(t, base)
	})
}

func TestKernelSystemCallClearsWhatOthersSet(t *testing.T) {
	device, s := open(t), open(t, SystemCall)
	onThread(t, func() {
		base := inForce(t, 0)
		for _, prio := range []Prio{0, 8, 16, 24, 32} {
			must(t, device.SetCurrent(prio))
			must(t, s.Clear(0))
			expect(t, device, 0, None)
			expect(t, s, 0, None)
			expectInForce(t, base)
		}
	})
}

// setpriority(2) ends the priority, and sets the base to which Do returns later.
func TestKernelSystemCallReturnsToANewBase(t *testing.T) {
	s := open(t, SystemCall)
	onThread(t, func() {
		must(t, s.SetCurrent(24))
		must(t, syscall.Setpriority(syscall.PRIO_PROCESS, 0, 12))
		expect(t, s, 0, None)
		base := inForce(t, 0)
		must(t, s.Do(8, func() { expect(t, s, 0, 8) }))
		if now := inForce(t, 0); now != base || now.Nice != 12 {
			t.Errorf("got %+v, want %+v", now, base)
		}
	})
}

// The child has its priority as one has it that "gosched run --inherit" starts.
func TestKernelSystemCallKeepsAnInheritedPriority(t *testing.T) {
	s := open(t)
	onThread(t, func() {
		must(t, s.Set(0, 24, Inherit))
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), testenv.Call("doUnderAnInherited"))
		child.Stderr = os.Stderr
		out, err := child.Output()
		must(t, err)
		if want := fmt.Sprintf("24 %d; 8 0; 24 %[1]d; ", Inherit); string(out) != want {
			t.Errorf("got %s, want %s", out, want)
		}
	})
}

// doUnderAnInherited prints the priority of the main thread, and whether children inherit
// it, before, during and after Do, as the device tells them.
func doUnderAnInherited() (string, error) {
	device, err := Open()
	if err != nil {
		return "", err
	}
	s, err := Open(SystemCall)
	if err != nil {
		return "", err
	}
	text := ""
	look := func() {
		var status Status
		if status, err = device.Get(0); err == nil {
			text += fmt.Sprintf("%v %d; ", status.Prio, status.Children)
		}
	}
	look()
	if failure := s.Do(8, look); failure != nil {
		return "", failure
	}
	look()
	return text, err
}

func TestRootSystemCallReturnsToARealTimeBase(t *testing.T) {
	device, s := open(t), open(t, SystemCall)
	onThread(t, func() {
		if errno := sys.SetAttr(0, sys.SchedAttr{Size: inForce(t, 0).Size, Policy: sys.SchedFIFO, RTPriority: 10}); errno != 0 {
			t.Fatal(errno)
		}
		base := inForce(t, 0)
		must(t, s.Do(8, func() { expect(t, device, 0, 8) }))
		expect(t, device, 0, None)
		expectInForce(t, base)
		// The same with a priority that another backend has set.
		must(t, device.SetCurrent(24))
		must(t, s.Do(8, func() { expect(t, device, 0, 8) }))
		expect(t, device, 0, 24)
		must(t, s.Clear(0))
		expect(t, device, 0, None)
		expectInForce(t, base)
	})
}

func TestRootSystemCallIsNotBegunWithNoWayBack(t *testing.T) {
	device, s := open(t), open(t, SystemCall)
	onThread(t, func() {
		must(t, device.SetCurrent(50))
		becomeUser(t)
		err := s.Do(8, func() { t.Error("work was run") })
		expectError(t, err, syscall.EPERM, "not begun: cannot find a way back to priority 50 for thread")
		expect(t, device, 0, 50)
	})
}

func TestKernelFallbackLeavesAGoPriorityAlone(t *testing.T) {
	device, s := open(t), fallback(t)
	onThread(t, func() {
		must(t, device.SetCurrent(24))
		expectError(t, s.SetCurrent(16), syscall.EBUSY, "has Go priority 24")
		if err := s.Do(16, func() { t.Error("work was run") }); err == nil {
			t.Error("no error")
		}
		must(t, s.Clear(0))
		expect(t, device, 0, 24)
	})
}

// Clear ends a Go priority by sched_setparam(2), which changes nothing else.
func TestAnyThreadKeepsWhatItsParameterDoesNotSay(t *testing.T) {
	onThread(t, func() {
		must(t, syscall.Setpriority(syscall.PRIO_PROCESS, 0, 7))
		before := inForce(t, 0)
		if errno := sys.SetParam(0, 3); errno != syscall.EINVAL {
			t.Errorf("a real-time priority of an ordinary thread: %v", errno)
		}
		if errno := sys.SetParam(syscall.Gettid(), 0); errno != 0 {
			t.Error(errno)
		}
		expectInForce(t, before)
	})
}

func TestWhatTheKernelShowsIsRead(t *testing.T) {
	// As proc_sched_show_task() writes it, of a thread with a misleading name.
	text := "\ngo_sched.prio  (4711, #threads: 7)\n" +
		"-------------------------------------------------------------------\n" +
		"se.exec_start                                :        123456.789012\n" +
		"prio                                         :                  128\n"
	if got := parseProcSched([]byte(text)); got != (procSched{None, None, None, false}) {
		t.Errorf("without a record: %+v", got)
	}
	add := func(name string, value int) { text += fmt.Sprintf("%-45s:%21d\n", name, value) }
	add("go_sched.prio", 50)
	add("go_sched.applied", 47)
	add("go_sched.ceiling", 63)
	add("go_sched.applies", 9)
	add("go_sched.last_cause", 8)
	if got := parseProcSched([]byte(text)); got != (procSched{50, 47, 63, false}) {
		t.Errorf("%+v", got)
	}
	add("go_sched.prio", -1)
	add("go_sched.last_cause", 4)
	if got := parseProcSched([]byte(text)); got != (procSched{None, 47, 63, true}) {
		t.Errorf("%+v", got)
	}
}

func TestSyscallFailureTellsCausesApart(t *testing.T) {
	for _, test := range []struct {
		errno       syscall.Errno
		words       string
		unsupported bool
	}{
		{syscall.EOPNOTSUPP, "load the module", true},
		{syscall.ENOSYS, "the kernel has no go_set_schedprio(2)", true},
		{syscall.EPERM, "a filter of system calls", true},
		{syscall.EBUSY, "sched_ext scheduler", false},
	} {
		err := syscallFailure(test.errno)
		if !strings.Contains(err.Error(), test.words) || !errors.Is(err, test.errno) ||
			errors.Is(err, ErrUnsupported) != test.unsupported {
			t.Errorf("%v: %v", test.errno, err)
		}
	}
}
