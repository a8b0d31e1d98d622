// SPDX-License-Identifier: MIT OR GPL-2.0

package overlay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestWriteWritesWhatTheGoCommandReads(t *testing.T) {
	o := made(t)
	folder := t.TempDir()
	path, err := o.Write(filepath.Join(folder, "not", "there", "yet"))
	must(t, err)
	if !filepath.IsAbs(path) || filepath.Base(path) != "overlay.json" || !strings.Contains(path, o.Go.Version) {
		t.Error("the path is ", path)
	}
	text, err := os.ReadFile(path)
	must(t, err)
	var overlay struct{ Replace map[string]string }
	must(t, json.Unmarshal(text, &overlay))
	if len(overlay.Replace) != len(o.files) {
		t.Errorf("%d files are replaced, and there are %d", len(overlay.Replace), len(o.files))
	}
	for original, replacement := range overlay.Replace {
		if _, err := os.Stat(original); err != nil {
			t.Error(err)
		}
		name, err := filepath.Rel(filepath.Join(o.Go.Root, "src"), original)
		must(t, err)
		text, err := os.ReadFile(replacement)
		must(t, err)
		if string(text) != string(o.files[filepath.ToSlash(name)]) {
			t.Errorf("%s is not what it shall be", replacement)
		}
	}
}

func TestWriteTwiceGivesOnePath(t *testing.T) {
	folder := t.TempDir()
	first, err := made(t).Write(folder)
	must(t, err)
	info, err := os.Stat(first)
	must(t, err)
	second, err := made(t).Write(folder)
	must(t, err)
	again, err := os.Stat(second)
	must(t, err)
	if first != second || !os.SameFile(info, again) {
		t.Errorf("first %s, then %s", first, second)
	}
}

func TestDamagedOverlayIsWrittenAnew(t *testing.T) {
	o, folder := made(t), t.TempDir()
	path, err := o.Write(folder)
	must(t, err)
	for _, damage := range []func(string) error{
		os.Remove, func(file string) error { return os.WriteFile(file, nil, 0o644) },
	} {
		for _, name := range []string{"runtime-proc.go", "overlay.json"} {
			file := filepath.Join(filepath.Dir(path), name)
			before, err := os.ReadFile(file)
			must(t, err)
			must(t, damage(file))
			again, err := o.Write(folder)
			must(t, err)
			after, err := os.ReadFile(file)
			must(t, err)
			if again != path || string(after) != string(before) {
				t.Errorf("%s is at %s, and has %d bytes, not %d", name, again, len(after), len(before))
			}
		}
	}
}

func TestAnotherContentHasAnotherPath(t *testing.T) {
	folder := t.TempDir()
	first, err := made(t).Write(folder)
	must(t, err)
	changed := made(t)
	changed.files[proc] = append(changed.files[proc], "// Another one.\n"...)
	moved := made(t)
	moved.Go.Root = t.TempDir()
	for _, o := range []*Overlay{changed, moved} {
		path, err := o.Write(folder)
		must(t, err)
		if path == first {
			t.Error("the path is the same")
		}
	}
}

func TestWritesAtOnceGiveOneWholeOverlay(t *testing.T) {
	o := made(t)
	folder := t.TempDir()
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			path, err := o.Write(folder)
			if err != nil {
				t.Error(err)
				return
			}
			files, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(files) != len(o.files)+1 {
				t.Errorf("there are %d files, %v", len(files), err)
			}
		}()
	}
	all.Wait()
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("what is left is %v, %v", left, err)
	}
}

func TestFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if path, err := made(t).Write(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("the path is %q, the error is %v", path, err)
	}
}
