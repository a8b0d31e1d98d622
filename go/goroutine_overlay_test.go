// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && overlay

package gosched

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go_sched/gosched/internal/sys"
	"go_sched/gosched/internal/testenv"
)

func init() {
	children["collectBesideIdleWorkers"] = collectBesideIdleWorkers
	children["loseTheDescriptor"] = loseTheDescriptor
	children["nothing"] = func() (string, error) { return "", nil }
}

// inGoroutine runs a test in a goroutine that is not locked to the main thread.
func inGoroutine(t *testing.T, test func()) {
	t.Helper()
	done := make(chan bool)
	go func() {
		defer close(done)
		test()
	}()
	<-done
}

// expectSoon compares the priority in force for whatever thread the goroutine runs on.
func expectSoon(t *testing.T, s *Scheduler, want Prio) {
	t.Helper()
	eventually(t, fmt.Sprint("the thread is at ", want), func() bool {
		status, err := s.Get(0)
		return err == nil && status.Bound && status.Applied == want
	})
}

func setGoroutine(t *testing.T, prio, want Prio) {
	t.Helper()
	if before, err := SetGoroutine(prio); before != want || err != nil {
		t.Fatalf("SetGoroutine(%v) returns %v, %v; want %v", prio, before, err, want)
	}
}

func TestOverlayKernelThreadFollowsItsGoroutine(t *testing.T) {
	s := open(t)
	inGoroutine(t, func() {
		must(t, Overlay())
		expectSoon(t, s, None)
		setGoroutine(t, 8, None)
		expectSoon(t, s, 8)
		setGoroutine(t, 24, 8)
		expectSoon(t, s, 24)
		inGoroutine(t, func() {
			if prio := Goroutine(); prio != 24 {
				t.Errorf("a goroutine that one at 24 has started is at %v", prio)
			}
			expectSoon(t, s, 24)
		})
		setGoroutine(t, None, 24)
		expectSoon(t, s, None)
	})
}

// A priority stays with its goroutine, however often that changes its thread.
func TestOverlayKernelPriorityStaysWithTheGoroutine(t *testing.T) {
	s := open(t)
	var all sync.WaitGroup
	for _, prio := range []Prio{4, 8, 20, 24, None, None} {
		prio := prio
		all.Add(1)
		must(t, Go(prio, func() {
			defer all.Done()
			for i := 0; i < 20; i++ {
				expectSoon(t, s, prio)
				runtime.Gosched()
				time.Sleep(time.Millisecond)
				if Goroutine() != prio {
					t.Errorf("a goroutine at %v has become one at %v", prio, Goroutine())
				}
			}
		}))
	}
	all.Wait()
}

func TestOverlayKernelDoLocksNoThread(t *testing.T) {
	s := open(t)
	for _, s := range []*Scheduler{s, open(t, NoOp)} {
		inGoroutine(t, func() {
			must(t, s.Do(24, func() {
				if Goroutine() != 24 {
					t.Errorf("work at 24 runs in a goroutine at %v", Goroutine())
				}
				must(t, s.Do(8, func() {
					if Goroutine() != 8 {
						t.Errorf("work at 8 runs in a goroutine at %v", Goroutine())
					}
				}))
				threads := count(t)
				var all sync.WaitGroup
				for i := 0; i < 100; i++ {
					all.Add(1)
					go func() {
						defer all.Done()
						must(t, s.Do(24, func() { time.Sleep(10 * time.Millisecond) }))
					}()
				}
				all.Wait()
				if more := count(t) - threads; more > 50 {
					t.Errorf("100 calls of Do that wait take %d threads more", more)
				}
			}))
			if Goroutine() != None {
				t.Errorf("Do leaves its goroutine at %v", Goroutine())
			}
		})
	}
}

// count returns the number of threads of the process.
func count(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	return len(tasks)
}

func TestOverlayKernelDoReturnsTheGoroutineAfterAPanic(t *testing.T) {
	s := open(t)
	inGoroutine(t, func() {
		func() {
			defer func() { _ = recover() }()
			_ = s.Do(8, func() { panic("work") })
		}()
		if Goroutine() != None {
			t.Errorf("the goroutine is at %v", Goroutine())
		}
		expectSoon(t, s, None)
	})
}

func TestOverlayKernelHintTakesTheThreadAndGivesItBack(t *testing.T) {
	s := open(t)
	inGoroutine(t, func() {
		setGoroutine(t, 24, None)
		h, err := s.Bind()
		must(t, err)
		h.Set(8)
		expectSoon(t, s, 8)
		// The scheduler runs in between, and leaves the hint alone.
		time.Sleep(time.Millisecond)
		if prio, _ := h.Applied(); prio != 8 {
			t.Errorf("the hint's priority is %v", prio)
		}
		if _, err := s.Bind(); err == nil {
			t.Error("a thread is bound to two hints")
		}
		must(t, h.Unbind())
		expectSoon(t, s, 24)
	})
}

func TestOverlayKernelDescriptorEndsWithTheProgram(t *testing.T) {
	out, err := exec.Command("/bin/sh", "-c", "echo /proc/self/fd/*").Output()
	must(t, err)
	for _, path := range strings.Fields(string(out)) {
		if fd, err := strconv.Atoi(filepath.Base(path)); err != nil || fd > 10 {
			t.Errorf("a command has the descriptor %s", path)
		}
	}
}

// The runtime's descriptor may be closed by the program, and the number be another file's.
func TestOverlayKernelAnotherFileWithTheNumberOfTheDescriptorIsLeftAlone(t *testing.T) {
	startChild(t, "loseTheDescriptor")
}

func loseTheDescriptor() (string, error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", err
	}
	lost := -1
	for _, fd := range fds {
		if path, _ := os.Readlink("/proc/self/fd/" + fd.Name()); path == Path {
			lost, _ = strconv.Atoi(fd.Name())
		}
	}
	if lost < 200 {
		return "", fmt.Errorf("the runtime's descriptor is %d", lost)
	}
	other, err := os.CreateTemp("", "")
	if err != nil {
		return "", err
	}
	defer os.Remove(other.Name())
	if err := syscall.Dup3(int(other.Fd()), lost, 0); err != nil {
		return "", err
	}
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		all.Add(1)
		_ = Go(8, func() {
			defer all.Done()
			for i := 0; i < 2000; i++ {
				_ = make([]byte, 10000)
			}
			// A new thread cannot be bound, and works.
			runtime.LockOSThread()
		})
	}
	for i := 0; i < 10; i++ {
		runtime.GC()
	}
	all.Wait()
	if info, err := other.Stat(); err != nil || info.Size() != 0 {
		return "", fmt.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	return "", nil
}

// startChild runs a child with variables of the environment, and returns its standard error.
func startChild(t *testing.T, call string, env ...string) string {
	t.Helper()
	child := exec.Command("/proc/self/exe")
	child.Env = append(append(os.Environ(), testenv.Call(call)), env...)
	var errors bytes.Buffer
	child.Stderr = &errors
	if err := child.Run(); err != nil {
		t.Errorf("%v: %s", err, &errors)
	}
	return errors.String()
}

func TestOverlayKernelDebugSaysWhatIsInForce(t *testing.T) {
	said := startChild(t, "nothing", "GOSCHED_DEBUG=1", "GOSCHED_IDLE_GC=8")
	for _, words := range []string{"threads follow their goroutines by /dev/go_sched", "idle GC workers run at 8"} {
		if !strings.Contains(said, words) {
			t.Errorf("%q lacks %q", said, words)
		}
	}
	said = startChild(t, "nothing", "GOSCHED_DEBUG=1", "GOSCHED_IDLE_GC=64", "GOSCHED_DEVICE=off")
	for _, words := range []string{"GOSCHED_DEVICE=off", "GOSCHED_IDLE_GC is not 0 to 63"} {
		if !strings.Contains(said, words) {
			t.Errorf("%q lacks %q", said, words)
		}
	}
	if said := startChild(t, "nothing"); said != "" {
		t.Errorf("a program says unasked: %q", said)
	}
}

func TestOverlayKernelIdleGCWorkersRunAtTheirPriority(t *testing.T) {
	startChild(t, "collectBesideIdleWorkers", "GOSCHED_IDLE_GC=6")
}

// sinkHole keeps what a test allocates.
var sinkHole []*[16]*int

func collectBesideIdleWorkers() (string, error) {
	s, err := Open()
	if err != nil {
		return "", err
	}
	defer s.Close()
	for i := 0; i < 200000; i++ {
		sinkHole = append(sinkHole, new([16]*int))
	}
	stop := make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	defer close(stop)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return "", err
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if status, err := s.Get(tid); err == nil && status.Prio == 6 {
				return "", nil
			}
		}
	}
	return "", fmt.Errorf("no thread was at 6 in a minute of collections")
}

// expectWithoutDevice tries that priorities of goroutines need no device.
func expectWithoutDevice(t *testing.T) {
	t.Helper()
	inGoroutine(t, func() {
		must(t, Overlay())
		setGoroutine(t, 8, None)
		if goroutines.follows() {
			t.Error("the thread follows its goroutine")
		}
		inGoroutine(t, func() {
			if Goroutine() != 8 {
				t.Errorf("a goroutine that one at 8 has started is at %v", Goroutine())
			}
		})
		setGoroutine(t, None, 8)
	})
	if before, errno := sys.GetAttr(0); errno != 0 || before.Policy != 0 {
		t.Errorf("the thread's policy is %d, errno %v", before.Policy, errno)
	}
}

func TestOverlayDeniedGoroutinesHavePrioritiesWithoutTheDevice(t *testing.T) { expectWithoutDevice(t) }
func TestOverlayAbsentGoroutinesHavePrioritiesWithoutTheDevice(t *testing.T) { expectWithoutDevice(t) }
