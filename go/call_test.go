// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The mapping here is that of the module, as the tool prints it in its own test.
func TestMappingIsThatOfTheModule(t *testing.T) {
	text, err := os.ReadFile("../tools/gosched/tests/cmd/map.trycmd")
	must(t, err)
	rows := regexp.MustCompile(`(?m)^ *(\d+) +(?:idle|fair|rt) +(SCHED_\w+) +(\S+) +(\S+) +(\S+) +\S+$`).
		FindAllStringSubmatch(string(text), -1)
	if len(rows) != levels {
		t.Fatalf("%d levels", len(rows))
	}
	policies := map[string]uint32{"SCHED_IDLE": schedIdle, "SCHED_OTHER": schedOther, "SCHED_RR": schedRR}
	number := func(text string) int64 {
		if text == "-" {
			return 0
		}
		n, err := strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64)
		must(t, err)
		return n
	}
	for i, row := range rows {
		got := attributes{}.at(Prio(i))
		// The slice is printed in ms with three places.
		want := attributes{policy: policies[row[2]], nice: int32(number(row[3])), rtPriority: uint32(number(row[4]))}
		slice := (got.runtime + 500) / 1000
		want.runtime = got.runtime
		if number(row[1]) != int64(i) || got != want || slice != uint64(number(row[5])) {
			t.Errorf("%d: got %+v, the tool prints %v", i, got, row[0])
		}
	}
}

// setsAsAsked compares what Set did with what sched_getattr(2) reports.
func setsAsAsked(t *testing.T, s *Scheduler, prio Prio, policy uint32, nice int32, rt uint32) {
	t.Helper()
	must(t, s.SetCurrent(prio))
	got := inForce(t, 0)
	if got.policy != policy || got.nice != nice || got.rtPriority != rt {
		t.Errorf("priority %v: %+v", prio, got)
	}
	expect(t, s, 0, prio)
}

func TestAnyFallbackMapsPriorities(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		base := inForce(t, 0)
		if base.policy != schedOther || base.nice != 0 {
			t.Fatalf("the tests run at nice 0, not with %+v", base)
		}
		// Downwards, which takes no privilege.
		for prio := niceZero; prio >= fairFirst; prio-- {
			setsAsAsked(t, s, prio, schedOther, 32-int32(prio), 0)
			if got, want := inForce(t, 0).runtime, base.at(prio).runtime; got != want && base.runtime != 0 {
				t.Errorf("priority %v: the slice is %d ns, want %d", prio, got, want)
			}
		}
		for _, prio := range []Prio{15, 8, 0} {
			setsAsAsked(t, s, prio, schedIdle, 16, 0)
		}
		if !hasSysNice() {
			for _, err := range []error{s.SetCurrent(24), s.SetCurrent(32), s.Clear(0), s.SetCurrent(50)} {
				if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_NICE") {
					t.Error(err)
				}
			}
			expect(t, s, 0, 0)
			return
		}
		for prio := fairFirst; prio < rtFirst; prio++ {
			setsAsAsked(t, s, prio, schedOther, 32-int32(prio), 0)
		}
		for prio := rtFirst; prio <= MaxPrio; prio++ {
			setsAsAsked(t, s, prio, schedRR, -15, uint32(prio-47))
		}
		must(t, s.Clear(0))
		expect(t, s, 0, None)
		if got := inForce(t, 0); got != base {
			t.Errorf("got %+v, want %+v", got, base)
		}
	})
}

func TestAnyFallbackDoesNotBeginWhatCannotBeUndone(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		base, ran := inForce(t, 0), false
		err := s.Do(8, func() { ran = true })
		if hasSysNice() {
			must(t, err)
		} else if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "not begun") {
			t.Error(err)
		}
		if ran != hasSysNice() {
			t.Errorf("work was run: %v", ran)
		}
		if got := inForce(t, 0); got != base {
			t.Errorf("got %+v, want %+v", got, base)
		}
		expect(t, s, 0, None)
	})
}

func TestAnyFallbackKeepsThreadsApart(t *testing.T) {
	s := fallback(t)
	c := s.threads.(*call)
	onThread(t, func() {
		tid := syscall.Gettid()
		must(t, s.SetCurrent(24))
		// As if the id were that of a thread that has ended since.
		r := c.records[tid]
		r.start--
		c.records[tid] = r
		state, err := s.Get(0)
		must(t, err)
		if state.Prio != None {
			t.Errorf("%+v", state)
		}
		must(t, s.Clear(0))
		if got := inForce(t, 0); got.nice != 8 {
			t.Errorf("another thread's base was given: %+v", got)
		}
	})
	// Records of threads that have ended do not pile up.
	for i := 0; i < 130; i++ {
		onThread(t, func() { must(t, s.SetCurrent(24)) })
	}
	if len(c.records) > 70 {
		t.Errorf("%d records", len(c.records))
	}
}

func TestAnyFallbackSeesWhatOthersDid(t *testing.T) {
	s := fallback(t)
	onThread(t, func() {
		must(t, s.SetCurrent(24))
		must(t, syscall.Setpriority(syscall.PRIO_PROCESS, 0, 12))
		state, err := s.Get(0)
		must(t, err)
		if state.Prio != 24 || state.Applied != None {
			t.Errorf("%+v", state)
		}
	})
}

func TestAnyFallbackHasNoHintsAndSaysSo(t *testing.T) {
	s := fallback(t)
	if _, err := s.Bind(); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "sched_setattr(2) is in use") {
		t.Error(err)
	}
	must(t, s.Close())
}

func TestPermissionRulesAreThoseOfTheKernel(t *testing.T) {
	// Without privilege and limits, which is the case of interest: from, to, allowed.
	normal := attributes{}
	for _, test := range []struct {
		from, to attributes
		want     bool
	}{
		{normal, normal, true},
		{normal.at(24), normal, false},
		{normal, normal.at(24), true},
		{normal.at(8), normal, false},
		{normal.at(8), normal.at(0), true},
		{normal, normal.at(50), false},
		{normal.at(50), normal.at(49), true},
		{normal.at(50), normal.at(51), false},
		{normal.at(50), normal, true},
		{normal.at(50), normal.at(8), true},
	} {
		if got := allowed(test.from, test.to, 0, 0); got != test.want {
			t.Errorf("%+v to %+v: %v", test.from, test.to, got)
		}
	}
	if !allowed(normal.at(8), normal, 20, 0) || allowed(normal.at(24), normal, 19, 0) || !allowed(normal, normal.at(50), 0, 3) || allowed(normal, normal.at(51), 0, 3) {
		t.Error("a limit is not what it is for the kernel")
	}
}

func TestErrorsSayWhatToDoNext(t *testing.T) {
	for _, test := range []struct {
		err         error
		words       string
		errno       syscall.Errno
		unsupported bool
	}{
		{openFailure(syscall.ENOENT), "insmod go_sched_class.ko", syscall.ENOENT, true},
		{openFailure(syscall.EACCES), "chgrp(1) and chmod(1)", syscall.EACCES, false},
		{openFailure(syscall.EMFILE), "too many open files", syscall.EMFILE, false},
		{versionFailure(0), "load the module of the release", syscall.EPROTO, false},
		{versionFailure(abiVersion + 1), "build the program with package gosched of", syscall.EPROTO, false},
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

func TestStartTimeTellsThreadsApart(t *testing.T) {
	start, err := startTime(os.Getpid())
	must(t, err)
	// In ticks of 1/100 s, which is what the kernel tells user space on all machines.
	text, err := os.ReadFile("/proc/uptime")
	must(t, err)
	seconds, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	must(t, err)
	if now := uint64(seconds / (10 * time.Millisecond)); start == 0 || start > now+1 {
		t.Errorf("this process started at %d, it is %d", start, now)
	}
}
