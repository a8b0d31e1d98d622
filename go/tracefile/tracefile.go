// SPDX-License-Identifier: MIT OR GPL-2.0

// Package tracefile writes traces of Go's runtime to files, which the command "gosched record"
// puts beside what the kernel did: of a whole run, or of the last seconds before a deadline was
// missed.
//
//	gosched record --go-trace trace.out -- ./server
//
// docs/observe.md in the repository says what that shows.
package tracefile

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime/trace"
	"sync"
)

// Start begins a trace, as runtime/trace does. The function that it returns ends the trace, and
// only then is the file at path, whole: another file there is replaced. This user alone may read
// it.
//
// The file is unfinished, and has another name in the same folder, until then. It is left there
// if the program ends without that call.
//
// Start fails if the program is traced already, if the folder cannot be written to, or if there is
// something else than a file at path. The function fails if the file could not be written; there
// is none then. If called again, it returns the same.
func Start(path string) (stop func() error, err error) {
	file, err := create(path)
	if err != nil {
		return nil, err
	}
	if err := trace.Start(file); err != nil {
		file.discard()
		return nil, fmt.Errorf("tracefile: cannot begin a trace: %w", err)
	}
	var once sync.Once
	var failure error
	return func() error {
		once.Do(func() {
			trace.Stop()
			failure = file.finish()
		})
		return failure
	}, nil
}

// unfinished is a file that gets its place when it is whole. Its writer keeps the first error,
// which trace.Start does not look at.
type unfinished struct {
	*bufio.Writer
	file *os.File
	path string
}

// create begins a file that this user alone may read.
func create(path string) (*unfinished, error) {
	// What is no file, such as /dev/null, would be replaced as well.
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("tracefile: %s is there, and is no ordinary file: it is not replaced", path)
	}
	if _, name := filepath.Split(path); name == "" {
		return nil, fmt.Errorf("tracefile: %q names no file", path)
	}
	// The program may go to another folder meanwhile.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("tracefile: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.unfinished")
	if err != nil {
		return nil, fmt.Errorf("tracefile: cannot write a trace to %s: %w", path, err)
	}
	return &unfinished{bufio.NewWriterSize(file, 1<<16), file, path}, nil
}

// finish gives the file its place, or removes it if not all of it could be written.
func (u *unfinished) finish() error {
	err := u.Flush()
	if closing := u.file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(u.file.Name(), u.path)
	}
	if err != nil {
		u.discard()
		return fmt.Errorf("tracefile: the trace is not at %s: %w", u.path, err)
	}
	return nil
}

// discard removes the file.
func (u *unfinished) discard() {
	// The reason why there is no file is returned.
	_ = u.file.Close()
	_ = os.Remove(u.file.Name())
}
