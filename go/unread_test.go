// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// takeDescriptors leaves the process no descriptor, until the function that it returns is called.
func takeDescriptors(t testing.TB) (giveBack func()) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Max: limit.Max}))
	return func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }
}

func TestAnyDoReturnsAThreadWithNoDescriptorLeft(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		for _, outer := range []Prio{None, prio} {
			for name, before := range map[string]func(){
				"as it is": func() {},
				"cleared":  func() { must(t, s.Clear(0)) },
				"set":      func() { must(t, s.Set(0, prio, Inherit)) },
			} {
				onThread(t, func() {
					if outer != None {
						must(t, s.Set(0, outer, Inherit))
					}
					status, err := s.Get(0)
					must(t, err)
					base := inForce(t, 0)
					giveBack := func() {}
					err = s.Do(prio, func() {
						expect(t, s, 0, prio)
						before()
						giveBack = takeDescriptors(t)
					})
					giveBack()
					must(t, err)
					after, err := s.Get(0)
					must(t, err)
					// SystemCall knows none of a thread that never had a priority.
					after.Ceiling = status.Ceiling
					if after != status {
						t.Errorf("%s in %v: got %+v, want %+v", name, outer, after, status)
					}
					expectInForce(t, base)
				})
			}
		}
	})
}

func TestAnyErrorNamesWhatCannotBeRead(t *testing.T) {
	eachBackend(t, 8, func(t *testing.T, s *Scheduler, prio Prio) {
		onThread(t, func() {
			base, ran := inForce(t, 0), false
			giveBack := takeDescriptors(t)
			failures := map[string]error{"Threads": errorOf(s.Threads())}
			if s.Backend() == Device {
				// It needs no /proc.
				must(t, s.Do(prio, func() { ran = true }))
			} else {
				failures["Do"] = s.Do(prio, func() { t.Error("work was run") })
				failures["Get"] = errorOf(s.Get(0))
				failures["Set"] = s.SetCurrent(prio)
				failures["Clear"] = s.Clear(0)
				failures["Open"] = errorOf(Open(s.Backend()))
			}
			giveBack()
			for name, err := range failures {
				expectError(t, err, syscall.EMFILE, "cannot read /proc/")
				if errors.Is(err, ErrUnsupported) || errors.Is(err, ErrNotBegun) != (name == "Do") {
					t.Errorf("%s: %v", name, err)
				}
			}
			if ran != (s.Backend() == Device) {
				t.Errorf("work was run: %v", ran)
			}
			expect(t, s, 0, None)
			expectInForce(t, base)
		})
	})
}

// askHidden is a child, for which /proc hides its parent. It prints what there is to say of the
// parent, and of a thread that there is not.
func askHidden() (string, error) {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, "hidepid=2"); err != nil {
		return "", err
	}
	parent := os.Getppid()
	// The group of root sees all.
	for _, become := range []error{syscall.Setgroups(nil), syscall.Setresgid(1000, 1000, 1000),
		syscall.Setresuid(1000, 1000, 1000)} {
		if become != nil {
			return "", become
		}
	}
	s, err := Open(SchedSetattr)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%v\n%v\n%v", s.Set(parent, 8, StartAtBase), errorOf(s.Get(1<<30)), s.SetCurrent(niceZero)), nil
}

func TestRootThreadThatIsHiddenHasNotEnded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a user has nothing hidden from him that is his")
	}
	out := inMountNamespace(t, "askHidden")
	lines := strings.Split(out, "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "/proc hides the processes of other users") ||
		!strings.Contains(lines[1], "no such thread") || lines[2] != "<nil>" {
		t.Errorf("%s", out)
	}
}
