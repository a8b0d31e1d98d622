// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Package testenv has what the tests of several packages share: the guest, and processes that
// tests start.
package testenv

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

// NeedGuest skips a test outside the guest.
func NeedGuest(t testing.TB) {
	t.Helper()
	if !InGuest {
		t.Skip("for the guest: tests/go runs it there")
	}
}

const child = "GO_SCHED_TEST_CHILD"

// Call returns the variable of the environment that has the test program call a child of Main.
func Call(name string) string { return child + "=" + name }

// Main runs the tests. In a process with the variable of Call it calls that function in their
// place, and prints the result.
func Main(m *testing.M, children map[string]func() (string, error)) {
	call, ok := children[os.Getenv(child)]
	if !ok {
		os.Exit(m.Run())
	}
	text, err := call()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(text)
}

// CallFiltered becomes a child whose system calls have actions of seccomp(2), by number.
func CallFiltered(name string, actions map[uint32]uint32) error {
	runtime.LockOSThread()
	const load, ifEqual, result = 0x20, 0x15, 0x06 // BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ, BPF_RET
	filter := []syscall.SockFilter{{Code: load}}
	for number, action := range actions {
		filter = append(filter, syscall.SockFilter{Code: ifEqual, Jf: 1, K: number},
			syscall.SockFilter{Code: result, K: action})
	}
	filter = append(filter, syscall.SockFilter{Code: result, K: 0x7fff0000}) // SECCOMP_RET_ALLOW
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const setNoNewPrivs, setSeccomp, modeFilter = 38, 22, 2
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter,
		uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	os.Setenv(child, name)
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}
