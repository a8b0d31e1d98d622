// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package overlay

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestPackageKeepsItsPromisesUnderTheOverlay(t *testing.T) {
	path := build(t, "api", "plain", nil)
	for _, procs := range []string{"1", "2", "7"} {
		succeed(t, []string{"GOMAXPROCS=" + procs}, path)
	}
}

func TestPackageKeepsItsPromisesUnderRandomPriorities(t *testing.T) {
	path := build(t, "lost", "plain", nil)
	for _, scenario := range []string{"alone", "channels", "mutexes", "starting each other"} {
		succeed(t, []string{"GOSCHED_RANDOM=1"}, path, scenario)
	}
}

func TestDebugSaysWhatIsInForce(t *testing.T) {
	path := build(t, "api", "plain", nil)
	out, err := output(t, []string{"GOSCHED_DEBUG=1", "GOSCHED_DEVICE=off", "GOMAXPROCS=3"}, path)
	if err != nil || !strings.Contains(out, "gosched: goroutines have priorities; GOMAXPROCS 3;") ||
		!strings.Contains(out, "GOSCHED_DEVICE=off") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDeadlockIsDetected(t *testing.T) {
	path := build(t, "deadlock", "plain", nil)
	for _, procs := range []string{"1", "2", "4"} {
		out, err := output(t, []string{"GOMAXPROCS=" + procs}, path)
		if err == nil || !strings.Contains(out, "all goroutines are asleep - deadlock!") {
			t.Errorf("%v: %s", err, tail(out))
		}
	}
}

func TestRaceDetectorWorks(t *testing.T) {
	skipUnlessTried(t)
	path := build(t, "lost", "race", needC(t), "-race")
	for _, scenario := range []string{"channels", "mutexes", "pools", "raising and lowering", "GOMAXPROCS changes"} {
		succeed(t, []string{"GOMAXPROCS=2"}, path, scenario)
	}
}

func TestCCallsGoAndGoesOn(t *testing.T) {
	path := build(t, "cgo", "plain", needC(t))
	for _, procs := range []string{"1", "2", "4"} {
		succeed(t, []string{"GOMAXPROCS=" + procs}, path)
	}
}

func TestStaticProgramsOfCWork(t *testing.T) {
	env := needC(t)
	probe := exec.Command("sh", "-c", `echo 'int main(void) { return 0; }' | cc -static -x c -o /dev/null -`)
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skip("needs the static libraries of C: ", string(out))
	}
	path := build(t, "cgo", "static", env, "-ldflags=-linkmode=external -extldflags=-static")
	succeed(t, nil, path)
	file, err := elf.Open(path)
	must(t, err)
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program is not static")
		}
	}
}

// Position-independent programs and -trimpath share a build, which takes a library of its own.
func TestPositionIndependentProgramsWork(t *testing.T) {
	path := build(t, "api", "pie", nil, "-buildmode=pie", "-trimpath")
	succeed(t, nil, path)
	file, err := elf.Open(path)
	must(t, err)
	defer file.Close()
	if file.Type != elf.ET_DYN {
		t.Error("the program is ", file.Type)
	}
}

func TestTrimpathLeavesNoPathOfTheOverlay(t *testing.T) {
	path := build(t, "api", "pie", nil, "-buildmode=pie", "-trimpath")
	text, err := os.ReadFile(path)
	must(t, err)
	if strings.Contains(string(text), builds.folder) {
		t.Error("the program has the path of the overlay")
	}
}

func TestPluginsShareTheRuntimeOfTheProgram(t *testing.T) {
	env := needC(t)
	plug := build(t, "plugin/plug", "plain", env, "-buildmode=plugin")
	succeed(t, nil, build(t, "plugin", "plain", env), plug)
}

func TestGoTestAndGoVetTakeTheOverlay(t *testing.T) {
	overlay := overlayOf(t)
	for _, args := range [][]string{
		{"test", "-count=1", "-overlay", overlay, "./testdata/tested"},
		{"vet", "-overlay", overlay, "./testdata/tested", "./testdata/api", "./testdata/lost"},
	} {
		if out, err := goCommand(nil, args...).CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
}

// What was built so says so, and what was built without does too.
func TestProgramsWithoutTheOverlaySayWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api")
	out, err := goCommand(nil, "build", "-o", path, "./testdata/api").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	if text, err := output(t, nil, path); err == nil || !strings.Contains(text, "built without the overlay") {
		t.Errorf("%v: %s", err, text)
	}
}

// The runtime and what is built on it, for other systems and architectures.
func TestOverlayCompilesForOtherSystems(t *testing.T) {
	overlay := overlayOf(t)
	for _, port := range []string{
		"linux/arm64", "linux/386", "linux/riscv64", "darwin/arm64", "windows/amd64", "freebsd/amd64", "js/wasm",
	} {
		system, arch, _ := strings.Cut(port, "/")
		build := goCommand([]string{"GOOS=" + system, "GOARCH=" + arch}, "build", "-overlay", overlay, "sync")
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", port, err, out)
		}
	}
}
