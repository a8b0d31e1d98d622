// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tracing is where debugfs has tracefs.
const tracing = "/sys/kernel/debug/tracing"

// calls counts the calls of a function of this program, by a uprobe. It takes root.
type calls struct{ name string }

// countCalls has the kernel count.
func countCalls(function string) (calls, error) {
	c := calls{fmt.Sprintf("calls_%d", os.Getpid())}
	path, err := os.Executable()
	if err != nil {
		return c, err
	}
	offset, err := fileOffset(path, function)
	if err != nil {
		return c, err
	}
	if err := write("uprobe_events", fmt.Sprintf("p:lab/%s %s:0x%x", c.name, path, offset)); err != nil {
		return c, err
	}
	if err := write("events/lab/"+c.name+"/enable", "1"); err != nil {
		c.close()
		return c, err
	}
	return c, nil
}

// count returns the number of calls.
func (c calls) count() int {
	profile, err := os.ReadFile(filepath.Join(tracing, "uprobe_profile"))
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(profile), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == c.name {
			calls, err := strconv.Atoi(fields[2])
			if err != nil {
				panic(err)
			}
			return calls
		}
	}
	panic("uprobe_profile has no " + c.name)
}

func (c calls) close() {
	_ = write("events/lab/"+c.name+"/enable", "0")
	_ = write("uprobe_events", "-:lab/"+c.name)
}

// write writes to a file of tracefs, as the shell's >> does.
func write(name, text string) error {
	f, err := os.OpenFile(filepath.Join(tracing, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// fileOffset returns the place of a function in the file of a program.
func fileOffset(path, function string) (uint64, error) {
	program, err := elf.Open(path)
	if err != nil {
		return 0, err
	}
	defer program.Close()
	symbols, err := program.Symbols()
	if err != nil {
		return 0, err
	}
	for _, symbol := range symbols {
		if symbol.Name != function {
			continue
		}
		for _, part := range program.Progs {
			if part.Type == elf.PT_LOAD && part.Vaddr <= symbol.Value && symbol.Value < part.Vaddr+part.Filesz {
				return symbol.Value - part.Vaddr + part.Off, nil
			}
		}
	}
	return 0, fmt.Errorf("%s has no function %s", path, function)
}
