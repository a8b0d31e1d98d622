// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"syscall"
	"unsafe"
)

// Name returns the name of the calling thread.
func Name() (name ThreadName) {
	// It fails only if a filter of system calls refuses it.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_NAME, uintptr(unsafe.Pointer(&name)), 0)
	return name
}

// SetName gives the calling thread a name.
func SetName(name ThreadName) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_NAME, uintptr(unsafe.Pointer(&name)), 0)
}
