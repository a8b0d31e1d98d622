// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package tracefile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/trace"
	"strings"
	"syscall"
	"testing"
)

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectError compares an error with words of it, and with one that it wraps unless that is nil.
func expectError(t *testing.T, err, target error, words string) {
	t.Helper()
	if err == nil || target != nil && !errors.Is(err, target) || !strings.Contains(err.Error(), words) {
		t.Errorf("got error %v, want %v: %s", err, target, words)
	}
}

// expectTrace expects that a trace is all that there is in the folder, for this user alone.
func expectTrace(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	if !bytes.HasPrefix(text, []byte("go 1.")) || len(text) < 100 {
		t.Errorf("%d bytes begin with %.16q", len(text), text)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("the mode is %v", info.Mode())
	}
	expectFiles(t, filepath.Dir(path), filepath.Base(path))
}

func expectFiles(t *testing.T, folder string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	if strings.Join(found, " ") != strings.Join(names, " ") {
		t.Errorf("there are %q, want %q", found, names)
	}
}

func TestAnyTraceIsThereWhenItHasEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	must(t, os.WriteFile(path, []byte("of before"), 0o644))
	stop, err := Start(path)
	must(t, err)
	before, err := os.ReadFile(path)
	must(t, err)
	if string(before) != "of before" {
		t.Errorf("it is there already: %.16q", before)
	}
	must(t, stop())
	expectTrace(t, path)
	must(t, os.Remove(path))
	// Which ends another trace no more.
	stopOther, err := Start(path)
	must(t, err)
	must(t, stop())
	must(t, stopOther())
	expectTrace(t, path)
}

func TestAnyTraceHasAPathThatIsRelative(t *testing.T) {
	folder, err := os.Getwd()
	must(t, err)
	defer func() { must(t, os.Chdir(folder)) }()
	begun := t.TempDir()
	must(t, os.Chdir(begun))
	stop, err := Start("*.trace")
	must(t, err)
	must(t, os.Chdir(t.TempDir()))
	must(t, stop())
	expectTrace(t, filepath.Join(begun, "*.trace"))
}

func TestAnyTraceIsRefusedWhileThereIsOne(t *testing.T) {
	folder := t.TempDir()
	var buffer bytes.Buffer
	must(t, trace.Start(&buffer))
	defer trace.Stop()
	_, err := Start(filepath.Join(folder, "trace"))
	expectError(t, err, nil, "cannot begin a trace: ")
	expectFiles(t, folder)
}

func TestAnyTraceIsRefusedWhereItCannotBe(t *testing.T) {
	folder := t.TempDir()
	_, err := Start(filepath.Join(folder, "none", "trace"))
	expectError(t, err, fs.ErrNotExist, "cannot write a trace to "+folder)
	link := filepath.Join(folder, "link")
	must(t, os.Symlink("/dev/null", link))
	for _, path := range []string{folder, "/dev/null", link} {
		_, err := Start(path)
		expectError(t, err, nil, "is no ordinary file")
	}
	for _, path := range []string{"", filepath.Join(folder, "none") + "/"} {
		_, err := Start(path)
		expectError(t, err, nil, "names no file")
	}
	expectFiles(t, folder, "link")
	if trace.IsEnabled() {
		t.Error("a trace has begun")
	}
}

func TestAnyTraceThatCannotBeWrittenIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	stop, err := Start(path)
	must(t, err)
	// As a full disk does.
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1, Max: limit.Max}))
	err = stop()
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	expectError(t, err, syscall.EFBIG, "the trace is not at "+path)
	if again := stop(); again != err {
		t.Error("and then: ", again)
	}
	expectFiles(t, filepath.Dir(path))
}
