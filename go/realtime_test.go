// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"go_sched/gosched/internal/testenv"
)

// lockedMemory returns the amount of locked memory of this process.
func lockedMemory(t testing.TB) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	return locked(status)
}

func locked(status []byte) string {
	return string(regexp.MustCompile(`VmLck:\s*(\d+ kB)`).FindSubmatch(status)[1])
}

// collector returns the settings of the garbage collector.
func collector() (percent int, limit int64) {
	percent = debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent, debug.SetMemoryLimit(-1)
}

func TestAnyRealtimeLoopCountsAndRestores(t *testing.T) {
	role, err := fallback(t).NewRole("timing", niceZero)
	must(t, err)
	percent, limit := collector()
	loop := Loop{Period: 2 * time.Millisecond, KeepMemory: os.Geteuid() != 0}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var last Tick
	ticks := uint64(0)
	report, err := role.RealtimeLoop(ctx, loop, func(tick Tick) {
		if ticks > 0 && tick.Number <= last.Number {
			t.Errorf("tick %d follows %d", tick.Number, last.Number)
		}
		if tick.Late < 0 {
			t.Errorf("tick %d is early by %v", tick.Number, -tick.Late)
		}
		if p, l := collector(); p != -1 || l == math.MaxInt64 {
			t.Errorf("the collector is at %d%%, %d bytes", p, l)
		}
		if !loop.KeepMemory && lockedMemory(t) == "0 kB" {
			t.Error("memory is not locked")
		}
		last = tick
		if ticks++; ticks == 5 {
			// So long that periods are missed.
			time.Sleep(4 * loop.Period)
		}
		if ticks == 10 {
			cancel()
		}
	})
	must(t, err)
	if report.Ticks != 10 || report.Overruns < 1 || report.Missed < 3 || report.MaxLate <= 0 ||
		last.Number < report.Ticks-1+3 {
		t.Errorf("%+v, last %+v", report, last)
	}
	if p, l := collector(); p != percent || l != limit {
		t.Errorf("the collector was left at %d%%, %d bytes", p, l)
	}
	if locked := lockedMemory(t); locked != "0 kB" {
		t.Errorf("%s are left locked", locked)
	}
}

func TestAnyRealtimeLoopRestoresAfterAPanic(t *testing.T) {
	role, err := fallback(t).NewRole("timing", niceZero)
	must(t, err)
	percent, limit := collector()
	onThread(t, func() {
		base := inForce(t, 0)
		func() {
			defer func() { _ = recover() }()
			loop := Loop{Period: time.Millisecond, KeepMemory: true, GCLimit: 1 << 30}
			_, err := role.RealtimeLoop(context.Background(), loop, func(Tick) {
				if _, l := collector(); l != 1<<30 {
					t.Errorf("the limit is %d bytes", l)
				}
				panic("on purpose")
			})
			t.Error("no panic, but ", err)
		}()
		expectInForce(t, base)
	})
	if p, l := collector(); p != percent || l != limit {
		t.Errorf("the collector was left at %d%%, %d bytes", p, l)
	}
}

func TestLastLoopRestoresTheCollector(t *testing.T) {
	percent, limit := collector()
	first, err := prepareProcess(Loop{KeepMemory: true})
	must(t, err)
	second, err := prepareProcess(Loop{KeepMemory: true, GCLimit: 1})
	must(t, err)
	alone, err := prepareProcess(Loop{KeepMemory: true, GCLimit: -1})
	must(t, err)
	first()
	if p, l := collector(); p != -1 || l < defaultGrowth || l > limit {
		t.Errorf("while one loop runs: %d%%, %d bytes", p, l)
	}
	second()
	if p, l := collector(); p != percent || l != limit {
		t.Errorf("left at %d%%, %d bytes", p, l)
	}
	alone()
}

func TestAnyRealtimeLoopRefusesWhatCannotBe(t *testing.T) {
	s := fallback(t)
	role, err := s.NewRole("timing", niceZero)
	must(t, err)
	work := func(Tick) { t.Error("work was run") }
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	expectError(t, errorOf(role.RealtimeLoop(ctx, Loop{KeepMemory: true}, work)), syscall.EINVAL, "")
	if !hasSysNice() {
		urgent, err := s.NewRole("urgent", 50)
		must(t, err)
		loop := Loop{Period: time.Millisecond, KeepMemory: true}
		expectError(t, errorOf(urgent.RealtimeLoop(ctx, loop, work)), syscall.EPERM, "")
	}
	cancel()
	report, err := role.RealtimeLoop(ctx, Loop{Period: time.Hour, KeepMemory: true}, work)
	if err != nil || report != (LoopReport{}) {
		t.Errorf("%+v, %v", report, err)
	}
}

// lockWithoutRoom is a child that locks a page, and fails to lock all memory. It prints how
// much is locked then.
func lockWithoutRoom() (string, error) {
	const rlimitMemlock = 8
	if err := syscall.Setrlimit(rlimitMemlock, &syscall.Rlimit{Cur: 1 << 16, Max: 1 << 16}); err != nil {
		return "", err
	}
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return "", err
	}
	if err := syscall.Mlock(page); err != nil {
		return "", err
	}
	if _, err := prepareProcess(Loop{GCLimit: -1}); !errors.Is(err, syscall.ENOMEM) {
		return "", fmt.Errorf("not refused, but %v", err)
	}
	status, err := os.ReadFile("/proc/self/status")
	return locked(status), err
}

func TestAnyFailedLoopLeavesWhatTheProgramLocked(t *testing.T) {
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), testenv.Call("lockWithoutRoom"))
	child.Stderr = os.Stderr
	if os.Geteuid() == 0 {
		// CAP_IPC_LOCK would lift the limit.
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	}
	out, err := child.Output()
	must(t, err)
	if string(out) != "4 kB" {
		t.Errorf("%s are locked", out)
	}
}

func TestUserIsToldHowToLockMemory(t *testing.T) {
	s := open(t)
	needUser(t)
	role, err := s.NewRole("timing", niceZero)
	must(t, err)
	_, err = role.RealtimeLoop(context.Background(), Loop{Period: time.Millisecond}, func(Tick) {
		t.Error("work was run")
	})
	if err == nil || !regexp.MustCompile(`RLIMIT_MEMLOCK.*KeepMemory`).MatchString(err.Error()) {
		t.Error(err)
	}
	if locked := lockedMemory(t); locked != "0 kB" {
		t.Errorf("%s are left locked", locked)
	}
}
