// SPDX-License-Identifier: MIT OR GPL-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// failed returns what is printed where nothing was made, so that the go command fails too.
func failed(args string) string {
	if strings.Contains(args+" ", "-list ") {
		return ""
	}
	return noOverlay + "\n"
}

// called runs the command.
func called(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(args, &out, &err)
	return status, out.String(), err.String()
}

func TestWrongOptionsAreRefusedWithStatus2(t *testing.T) {
	for _, c := range []struct{ args, why string }{
		{"-no-such-option", "not defined: -no-such-option"},
		{"-o", "needs an argument: -o"},
		{"-list=maybe", "maybe"},
		{"one", `"one" is one argument too many`},
		{"-list more", `"more" is one argument too many`},
		{"-json", "-json goes with -list"},
	} {
		status, stdout, stderr := called(strings.Fields(c.args)...)
		if status != 2 || stdout != failed(c.args) || !strings.Contains(stderr, c.why) ||
			!strings.HasSuffix(stderr, "; see gosched-overlay -help\n") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, output %q, %q", c.args, status, stdout, stderr)
		}
	}
}

func TestHelpNamesAllOptions(t *testing.T) {
	for _, option := range []string{"-h", "-help", "--help"} {
		status, stdout, stderr := called(option)
		if status != 0 || stderr != "" {
			t.Errorf("%s: status %d, %q", option, status, stderr)
		}
		for _, name := range []string{"-go ", "-o ", "-list ", "-json ", "-h, -help", "Exit status"} {
			if !strings.Contains(stdout, name) {
				t.Errorf("%s does not name %s", option, name)
			}
		}
	}
}

func TestListIsOfAllPlacesAndWritesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	status, text, stderr := called("-list", "-o", folder)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	line := regexp.MustCompile(`^\S+\.go:[1-9][0-9]* +\S.*  \S`)
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		if !line.MatchString(l) {
			t.Errorf("%q is no line of the list", l)
		}
	}
	status, out, stderr := called("-list", "-json", "-o", folder)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	var edits []struct {
		Place, File, Text string
		Line              int
	}
	if err := json.Unmarshal([]byte(out), &edits); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(text, "\n"); len(edits) != lines || lines == 0 {
		t.Errorf("%d objects, and %d lines", len(edits), lines)
	}
	for _, e := range edits {
		if e.Place == "" || e.Text == "" || e.Line == 0 || !strings.Contains(text, e.File) {
			t.Errorf("%+v", e)
		}
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Error("there is something: ", err)
	}
}

func TestPathOfTheOverlayIsPrinted(t *testing.T) {
	folder := t.TempDir()
	status, stdout, stderr := called("-o", folder)
	if status != 0 || stderr != "" || strings.Count(stdout, "\n") != 1 || !strings.HasPrefix(stdout, folder) {
		t.Errorf("status %d, output %q, %q", status, stdout, stderr)
	}
	if _, err := os.Stat(strings.TrimSpace(stdout)); err != nil {
		t.Error(err)
	}
}

func TestFolderOfCachesIsTheUsersByDefault(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	if _, stdout, _ := called(); !strings.HasPrefix(stdout, filepath.Join(cache, "gosched-overlay")+"/") {
		t.Errorf("output %q", stdout)
	}
}

func TestFolderHasToBeGivenWithoutAHome(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	status, stdout, stderr := called()
	if status != 2 || stdout != failed("") || !strings.Contains(stderr, "HOME are defined: give one with -o") {
		t.Errorf("status %d, output %q, %q", status, stdout, stderr)
	}
	for _, args := range [][]string{{"-o", folder}, {"-list"}, {"-help"}} {
		if status, stdout, stderr := called(args...); status != 0 || stdout == "" {
			t.Errorf("%v: status %d, %q", args, status, stderr)
		}
	}
}

func TestFailureIsOneSentenceWithStatus1(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	command := filepath.Join(t.TempDir(), "go")
	// A GOROOT without sources.
	script := "#!/bin/sh\necho " + t.TempDir() + "\necho go1.19.8\n"
	if err := os.WriteFile(command, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho /nowhere\necho go1.16\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for command, why := range map[string]string{command: "a goroutine's priority", old: "go1.16 is too old", "/nowhere/go": "/nowhere/go"} {
		status, stdout, stderr := called("-go", command, "-o", folder)
		if status != 1 || stdout != failed("") || !strings.HasPrefix(stderr, "gosched-overlay: ") ||
			!strings.Contains(stderr, why) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("status %d, output %q, %q", status, stdout, stderr)
		}
		if _, err := os.Stat(folder); !os.IsNotExist(err) {
			t.Error("something was written: ", err)
		}
	}
}
