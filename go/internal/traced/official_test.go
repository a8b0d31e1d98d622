// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && !guest

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// transition is a change of a goroutine's or P's state in a trace.
type transition struct {
	thread, proc, goroutine string
	time                    string
	resource                string // GoID=1 or ProcID=1
	states                  string // Running->Waiting
	reason                  string
}

// Go 1.26 has the reason last; before it has it before the states.
var (
	line    = regexp.MustCompile(`(?m)^M=(\S+) P=(\S+) G=(\S+) StateTransition Time=(\d+) (.*)$`)
	current = regexp.MustCompile(`^((?:Go|Proc)ID=\d+) (\w+->\w+) Reason="(.*)"$`)
	former  = regexp.MustCompile(`^Resource=\S+ Reason="(.*)" ((?:Go|Proc)ID=\d+) (\w+->\w+)$`)
)

// The Rust library tools/gotrace finds the same transitions in the same order as Go's own reader,
// with the same threads, times and reasons.
func TestTracesAreReadAsGoReadsThem(t *testing.T) {
	need(t)
	for _, flight := range []bool{false, true} {
		if flight && release(t) < 25 {
			t.Log("no flight recorder before Go 1.25")
			continue
		}
		// Go's reader sorts more threads than this in no fixed order if times are equal.
		const fewThreads = 12
		for try := 0; ; try++ {
			path := record(t, flight, 2, 2)
			found, expected := read(t, path), readByGo(t, path)
			threads := make(map[string]bool)
			for _, e := range expected {
				threads[e.thread] = true
			}
			if len(threads) > fewThreads && try < 20 {
				continue
			}
			if len(threads) > fewThreads {
				t.Fatalf("the program has %d threads", len(threads))
			}
			compare(t, found, expected)
			t.Logf("%d transitions, %d threads, flight recorder: %v", len(found), len(threads), flight)
			break
		}
	}
}

// With many threads, each goroutine and P has the same transitions in both.
func TestTracesOfManyThreadsAreReadAsGoReadsThem(t *testing.T) {
	need(t)
	path := record(t, false, 8, 5)
	found, expected := read(t, path), readByGo(t, path)
	t.Logf("%d transitions", len(found))
	if len(found) != len(expected) {
		t.Errorf("%d transitions, and Go finds %d", len(found), len(expected))
	}
	foundOf := byResource(found)
	for resource, expected := range byResource(expected) {
		compare(t, foundOf[resource], expected)
	}
}

// byResource returns the transitions of each goroutine and P, without times.
func byResource(all []transition) map[string][]transition {
	of := make(map[string][]transition)
	for _, one := range all {
		one.time = ""
		of[one.resource] = append(of[one.resource], one)
	}
	return of
}

func compare(t *testing.T, found, expected []transition) {
	t.Helper()
	for i, e := range expected {
		if i == len(found) {
			t.Errorf("transition %d is missing: %+v", i, e)
			return
		}
		if found[i] != e {
			t.Errorf("transition %d is %+v, and Go has %+v", i, found[i], e)
			return
		}
	}
	if len(found) > len(expected) {
		t.Errorf("transition %d is not in Go's: %+v", len(expected), found[len(expected)])
	}
	if len(expected) == 0 {
		t.Error("no transitions")
	}
}

// need skips a test that this machine cannot do.
func need(t *testing.T) {
	t.Helper()
	if release(t) < 22 {
		t.Skipf("needs Go 1.22, which writes traces of the present format, and this is %s", runtime.Version())
	}
	if _, err := exec.LookPath("cargo"); err != nil {
		t.Skip("needs cargo, which builds what reads traces: ", err)
	}
}

// release returns N of Go 1.N.
func release(t *testing.T) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(runtime.Version(), "go1.%d", &n); err != nil {
		t.Fatal(runtime.Version(), err)
	}
	return n
}

// record returns the path of a trace.
func record(t *testing.T, flight bool, procs, rounds int) string {
	t.Helper()
	folder := t.TempDir()
	program, path := filepath.Join(folder, "traced"), filepath.Join(folder, "trace")
	run(t, "", "go", "build", "-buildvcs=false", "-o", program, ".")
	run(t, "", "env", fmt.Sprint("GOMAXPROCS=", procs), program, "-o", path,
		fmt.Sprint("-rounds=", rounds), fmt.Sprint("-flight=", flight))
	return path
}

// read reads a trace by the example of tools/gotrace.
func read(t *testing.T, path string) []transition {
	t.Helper()
	return parse(t, run(t, "../../..", "cargo", "run", "--quiet", "--locked", "--package=go-sched-gotrace",
		"--example=print", "--", path))
}

// readByGo reads a trace by Go's reader.
func readByGo(t *testing.T, path string) []transition {
	t.Helper()
	mode := "-d=parsed"
	if release(t) < 24 {
		mode = "-d=1"
	}
	return parse(t, run(t, "", "go", "tool", "trace", mode, path))
}

func parse(t *testing.T, printed []byte) []transition {
	t.Helper()
	var all []transition
	for _, fields := range line.FindAllStringSubmatch(string(printed), -1) {
		one := transition{thread: fields[1], proc: fields[2], goroutine: fields[3], time: fields[4]}
		if rest := current.FindStringSubmatch(fields[5]); rest != nil {
			one.resource, one.states, one.reason = rest[1], rest[2], rest[3]
		} else if rest := former.FindStringSubmatch(fields[5]); rest != nil {
			one.reason, one.resource, one.states = rest[1], rest[2], rest[3]
		} else {
			t.Fatalf("unknown form: %s", fields[0])
		}
		all = append(all, one)
	}
	return all
}

// run returns the output of a command that must succeed.
func run(t *testing.T, folder string, command ...string) []byte {
	t.Helper()
	var errors bytes.Buffer
	c := exec.Command(command[0], command[1:]...)
	c.Dir, c.Stderr = folder, &errors
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, errors.String())
	}
	return out
}
