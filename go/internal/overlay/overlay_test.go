// SPDX-License-Identifier: MIT OR GPL-2.0

package overlay

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inUse returns the Go in use.
func inUse(t testing.TB) Go {
	t.Helper()
	g, err := Find("go")
	must(t, err)
	return g
}

func made(t testing.TB) *Overlay {
	t.Helper()
	o, err := Make(inUse(t))
	must(t, err)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copied returns the Go in use with a copy of the sources that an overlay is made of.
func copied(t testing.TB) Go {
	t.Helper()
	g := inUse(t)
	root := t.TempDir()
	names := map[string]bool{"runtime/debug.go": true, others: true}
	for _, p := range places {
		for _, name := range p.files {
			names[name] = true
		}
	}
	for name := range names {
		text, err := os.ReadFile(filepath.Join(g.Root, "src", name))
		if os.IsNotExist(err) {
			continue
		}
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, "src", name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, "src", name), text, 0o644))
	}
	return Go{Root: root, Version: g.Version}
}

func TestEachPlaceIsFoundInTheGoInUse(t *testing.T) {
	o := made(t)
	listed := map[string]bool{}
	for _, e := range o.Edits {
		listed[e.Place] = true
		if e.Line <= 0 || e.Text == "" || e.File == "" {
			t.Errorf("%+v says not what is inserted where", e)
		}
	}
	for _, p := range places {
		if p.since <= o.Go.minor() && !listed[p.name] {
			t.Errorf("%q is not listed", p.name)
		}
	}
}

func TestPlacesHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range places {
		if seen[p.name] {
			t.Errorf("two places are called %q", p.name)
		}
		seen[p.name] = true
	}
}

// Each function and type that has a place is renamed in turn.
func TestGoWithoutAPlaceIsRefusedByItsName(t *testing.T) {
	g := copied(t)
	_, err := Make(g)
	must(t, err)
	done := map[string]bool{}
	for _, p := range places {
		// Several places in one function: the first one is named.
		key := p.in + " " + strings.Join(p.files, " ")
		if p.since > g.minor() || done[key] {
			continue
		}
		done[key] = true
		// The name alone, at a declaration.
		declared := regexp.MustCompile(`(?m)^(func (?:\([^)]*\) )?|type )(?:` + p.in + `)([(\[ ])`)
		was := map[string][]byte{}
		for _, name := range p.files {
			path := filepath.Join(g.Root, "src", name)
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				continue
			}
			must(t, err)
			was[path] = text
			must(t, os.WriteFile(path, declared.ReplaceAll(text, []byte("${1}renamed${2}")), 0o644))
		}
		o, err := Make(g)
		if o != nil || err == nil {
			t.Errorf("without %s, where %q is, an overlay is made", p.in, p.name)
		} else if text := err.Error(); !strings.Contains(text, p.name) || !strings.Contains(text, g.Version) ||
			!strings.Contains(text, strings.ReplaceAll(p.in, "|", " or ")) || strings.Contains(text, "\n") {
			t.Errorf("without %s, where %q is, the error is: %v", p.in, p.name, err)
		}
		for path, text := range was {
			must(t, os.WriteFile(path, text, 0o644))
		}
	}
}

// A place that is there twice is as good as none.
func TestGoWithAPlaceTwiceIsRefused(t *testing.T) {
	g := copied(t)
	path := filepath.Join(g.Root, "src", proc)
	text, err := os.ReadFile(path)
	must(t, err)
	twice := strings.Replace(string(text), "\n\tunminit()\n", "\n\tunminit()\n\tunminit()\n", -1)
	must(t, os.WriteFile(path, []byte(twice), 0o644))
	if _, err := Make(g); err == nil || !strings.Contains(err.Error(), "a thread ends") ||
		!strings.Contains(err.Error(), "2 times unminit()") {
		t.Error("the error is: ", err)
	}
}

func TestGoThatCannotBeParsedIsRefused(t *testing.T) {
	g := copied(t)
	path := filepath.Join(g.Root, "src", proc)
	must(t, os.WriteFile(path, []byte("package runtime\nfunc {"), 0o644))
	if _, err := Make(g); err == nil || !strings.Contains(err.Error(), proc) {
		t.Error("the error is: ", err)
	}
}

func TestGoWithoutSourcesIsRefused(t *testing.T) {
	if _, err := Make(Go{t.TempDir(), "go1.19.8"}); err == nil || !strings.Contains(err.Error(), runtime2) {
		t.Error("the error is: ", err)
	}
}

func TestGoThatIsTooOldIsRefused(t *testing.T) {
	for _, version := range []string{"go1.18.10", "go1.9", "go1.4rc1"} {
		if _, err := Make(Go{inUse(t).Root, version}); err == nil || !strings.Contains(err.Error(), version+" is too old") {
			t.Errorf("%s: the error is: %v", version, err)
		}
	}
}

func TestReleaseIsReadFromAVersion(t *testing.T) {
	for version, want := range map[string]int{
		"go1.19": 19, "go1.19.8": 19, "go1.27rc2": 27, "go1.22.10 X:nocoverageredesign": 22, "go1.9.7": 9,
		"devel go1.28-0123456789 Fri Nov 27": 1 << 20,
	} {
		if got := (Go{Version: version}).minor(); got != want {
			t.Errorf("%s is Go 1.%d", version, got)
		}
	}
}

func TestGoCommandThatFailsIsQuoted(t *testing.T) {
	command := filepath.Join(t.TempDir(), "go")
	for script, want := range map[string]string{
		"echo go.mod names no Go >&2; exit 1": "go.mod names no Go",
		"exit 3":                              "exit status 3",
		"true":                                "no GOROOT",
	} {
		must(t, os.WriteFile(command, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		if _, err := Find(command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is: %v", script, err)
		}
	}
	if _, err := Find("/nowhere/go"); err == nil || !strings.Contains(err.Error(), "/nowhere/go") {
		t.Error("the error is: ", err)
	}
}

// Traces, profiles and debuggers tell lines of Go's own sources.
func TestLinesOfGoStayWhatTheyAre(t *testing.T) {
	o := made(t)
	for name, edited := range o.files {
		text, err := os.ReadFile(filepath.Join(o.Go.Root, "src", name))
		must(t, err)
		before, after := linesOf(t, name, text), linesOf(t, name, edited)
		if len(before) == 0 {
			t.Errorf("%s has no functions", name)
		}
		for function, lines := range before {
			if after[function] != lines {
				t.Errorf("%s: %s has been at lines %v, and is now at %v", name, function, lines, after[function])
			}
		}
		// Whole lines that are not edited stay where they are.
		was, is := strings.Split(string(text), "\n"), strings.Split(string(edited), "\n")
		changed := 0
		for i := range was {
			if was[i] != is[i] {
				changed++
			}
		}
		edits := 0
		for _, e := range o.Edits {
			if e.File == name {
				edits++
			}
		}
		if changed > edits {
			t.Errorf("%s: %d lines differ, and there are %d edits", name, changed, edits)
		}
	}
}

// linesOf returns the first and the last line of each function.
func linesOf(t *testing.T, name string, text []byte) map[string][2]int {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, 0)
	must(t, err)
	lines := map[string][2]int{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name != "_" && f.Name.Name != "init" {
			function := f.Name.Name
			if f.Recv != nil {
				start, end := fset.Position(f.Recv.Pos()).Offset, fset.Position(f.Recv.End()).Offset
				function = string(text[start:end]) + function
			}
			lines[function] = [2]int{fset.Position(f.Pos()).Line, fset.Position(f.End()).Line}
		}
	}
	return lines
}
