// SPDX-License-Identifier: MIT OR GPL-2.0

// Package overlay makes an overlay for the go command that gives Go's runtime priorities of
// goroutines.
//
// The places of the runtime are found by syntax, in the sources of the Go in use. Each has to
// be there exactly once: a Go that differs is refused.
package overlay

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

var (
	//go:embed runtime/proc.go.in
	procTail string
	//go:embed runtime/abi.go.in
	abiTail string
	//go:embed runtime/os_linux.go.in
	linuxTail string
	//go:embed runtime/stubs_nonlinux.go.in
	othersTail string
)

// poolTail declares what package sync has of the runtime.
const poolTail = `
func runtime_gprioPs() int

var _ = runtime.GOMAXPROCS // The import has no other use any more.
`

// Oldest is the oldest release of Go that has all places.
const Oldest = 19

// Go is an installation of Go.
type Go struct {
	Root    string // GOROOT.
	Version string // As "go version" tells it, go1.27.3.
}

// Find asks a go command, "go" as a rule, which Go it uses in the current folder: go.mod may
// name another one than is installed.
func Find(command string) (Go, error) {
	list := exec.Command(command, "env", "GOROOT", "GOVERSION")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return Go{}, fmt.Errorf("%s env: %s", command, text)
		}
		return Go{}, fmt.Errorf("%s env: %w", command, err)
	}
	lines := strings.Split(string(out), "\n")
	if len(lines) < 2 || lines[0] == "" {
		return Go{}, fmt.Errorf("%s env tells no GOROOT", command)
	}
	return Go{Root: lines[0], Version: lines[1]}, nil
}

// minor returns the release of a version: 27 of go1.27.3. A version without one is that of a Go
// under development, newer than all others.
func (g Go) minor() int {
	rest := strings.TrimPrefix(g.Version, "go1.")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 1 << 20
	}
	return n
}

// Edit is one place where text is inserted.
type Edit struct {
	Place string // What happens there.
	File  string // Below GOROOT/src.
	Line  int
	Text  string
}

// Overlay is an overlay for one Go.
type Overlay struct {
	Go    Go
	Edits []Edit
	// The edited files, by their path below GOROOT/src.
	files map[string][]byte
}

// Make makes the overlay. An error names the place that was not found.
func Make(g Go) (*Overlay, error) {
	if g.minor() < Oldest {
		return nil, fmt.Errorf("%s is too old: Go 1.%d is the oldest that goroutines can have "+
			"priorities in", g.Version, Oldest)
	}
	sources := map[string]*source{}
	o := &Overlay{Go: g, files: map[string][]byte{}}
	for _, p := range places {
		if p.since > g.minor() {
			continue
		}
		if err := o.edit(p, sources); err != nil {
			return nil, err
		}
	}
	if err := o.append(sources); err != nil {
		return nil, err
	}
	for name, s := range sources {
		if len(s.inserts) > 0 || s.tail != "" {
			o.files[name] = s.edited()
		}
	}
	return o, nil
}

// read returns a source, read once.
func (o *Overlay) read(sources map[string]*source, name string) (*source, error) {
	if s := sources[name]; s != nil {
		return s, nil
	}
	s, err := readSource(o.Go.Root, name)
	if err == nil {
		sources[name] = s
	}
	return s, err
}

// edit edits one place in each of its files.
func (o *Overlay) edit(p place, sources map[string]*source) error {
	found := false
	for _, name := range p.files {
		s, err := o.read(sources, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read Go's sources: %w", err)
		}
		in := s.named(p.in)
		if in == nil {
			continue
		}
		found = true
		before := len(s.inserts)
		if err := p.edit(s, in); err != nil {
			return o.unknown(p, fmt.Sprintf("%s in %s has %v", p.in, name, err))
		}
		for _, i := range s.inserts[before:] {
			o.Edits = append(o.Edits, Edit{p.name, name, s.line(i.from), strings.Trim(i.text, "; ")})
		}
	}
	if !found {
		return o.unknown(p, fmt.Sprintf("there is not one %s in %s", strings.ReplaceAll(p.in, "|", " or "),
			strings.Join(p.files, " or ")))
	}
	return nil
}

func (o *Overlay) unknown(p place, why string) error {
	return fmt.Errorf("this does not know %s: the place where %s was not found: %s; use another Go, or "+
		"build without -overlay, as programs run without priorities of goroutines too",
		o.Go.Version, p.name, why)
}

// named returns the function or the struct type of one of several names.
func (s *source) named(names string) ast.Node {
	for _, name := range strings.Split(names, "|") {
		if f := s.function(name); f != nil {
			return f
		}
		if st := s.structure(name); st != nil {
			return st
		}
	}
	return nil
}

// append appends our own code. It goes into files that exist, as "go vet" before Go 1.24 does
// not see new files of an overlay.
func (o *Overlay) append(sources map[string]*source) error {
	stop, start, err := o.stopTheWorld(sources)
	if err != nil {
		return err
	}
	linux, err := o.read(sources, osLinux)
	if err != nil {
		return err
	}
	syscall := ""
	for _, i := range linux.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		if strings.HasSuffix(p, "runtime/internal/syscall") || strings.Contains(p, "internal/runtime/syscall") {
			syscall = path.Base(p)
		}
	}
	if syscall == "" {
		return fmt.Errorf("this does not know %s: %s imports no package of system calls", o.Go.Version, osLinux)
	}
	heapLive := "gcController.heapLive.Load()"
	if o.Go.minor() < 20 {
		heapLive = "atomic.Load64(&gcController.heapLive)"
	}
	tails := []struct{ name, text string }{
		{proc, strings.NewReplacer("@STOP@", stop, "@START@", start, "@HEAPLIVE@", heapLive).Replace(procTail)},
		{osLinux, abiTail + strings.ReplaceAll(linuxTail, "@SYSCALL@", syscall)},
		{others, othersTail},
		{"sync/pool.go", poolTail},
	}
	for _, t := range tails {
		s, err := o.read(sources, t.name)
		if err != nil {
			return err
		}
		s.tail = t.text
	}
	return nil
}

// stopTheWorld returns the statements by which GOMAXPROCS stops and starts the world, which
// differ from one Go to another.
func (o *Overlay) stopTheWorld(sources map[string]*source) (stop, start string, err error) {
	s, err := o.read(sources, "runtime/debug.go")
	if err != nil {
		return "", "", err
	}
	f := s.function("GOMAXPROCS")
	if f == nil {
		return "", "", fmt.Errorf("this does not know %s: there is not one GOMAXPROCS", o.Go.Version)
	}
	for _, st := range f.Body.List {
		switch code := s.code(st); {
		case strings.Contains(code, "stopTheWorldGC("):
			stop = code
		case strings.Contains(code, "startTheWorldGC("):
			start = code
		}
	}
	if stop == "" || start == "" {
		return "", "", fmt.Errorf("this does not know %s: GOMAXPROCS does not stop the world", o.Go.Version)
	}
	return stop, start, nil
}

// Write writes the overlay below a folder, and returns the path of its overlay.json. The path
// depends on the content: what a build uses does not change under it, and a build that has used
// the same before is cached.
func (o *Overlay) Write(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(o.files))
	for name := range o.files {
		names = append(names, name)
	}
	sort.Strings(names)
	hash := sha256.New()
	fmt.Fprintln(hash, o.Go.Root)
	for _, name := range names {
		fmt.Fprintln(hash, name, len(o.files[name]))
		hash.Write(o.files[name])
	}
	final := filepath.Join(folder, fmt.Sprintf("%s-%x", o.Go.Version, hash.Sum(nil)[:8]))
	path := filepath.Join(final, "overlay.json")
	if o.isAt(final, names) {
		return path, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	// A build that runs at the same time sees all of it or nothing.
	temporary, err := os.MkdirTemp(folder, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	if err := o.writeFiles(temporary, final, names); err != nil {
		return "", err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return "", err
	}
	// What is there is damaged, or another process has just written it.
	err = os.Rename(temporary, final)
	if err != nil && !o.isAt(final, names) {
		if err = os.RemoveAll(final); err == nil {
			err = os.Rename(temporary, final)
		}
	}
	if err != nil && !o.isAt(final, names) {
		return "", err
	}
	return path, nil
}

// isAt tells whether a folder has the overlay, whole.
func (o *Overlay) isAt(folder string, names []string) bool {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(folder, fileName(name)))
		if err != nil || !bytes.Equal(text, o.files[name]) {
			return false
		}
	}
	want, err := o.json(folder, names)
	if err != nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(folder, "overlay.json"))
	return err == nil && bytes.Equal(text, want)
}

// fileName returns what a file of Go's is called in the folder of an overlay.
func fileName(name string) string { return strings.ReplaceAll(name, "/", "-") }

// json returns the content of overlay.json in a folder.
func (o *Overlay) json(folder string, names []string) ([]byte, error) {
	replace := map[string]string{}
	for _, name := range names {
		replace[filepath.Join(o.Go.Root, "src", filepath.FromSlash(name))] = filepath.Join(folder, fileName(name))
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	return append(text, '\n'), err
}

// writeFiles writes the files to a folder that will have another name.
func (o *Overlay) writeFiles(folder, final string, names []string) error {
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, fileName(name)), o.files[name], 0o644); err != nil {
			return err
		}
	}
	text, err := o.json(final, names)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "overlay.json"), text, 0o644)
}
