// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"os"
	"syscall"
	"unsafe"
)

// Linux tells whether there are threads of Linux here.
const Linux = true

// Gettid returns the id of the calling thread.
func Gettid() int { return syscall.Gettid() }

// Group returns the id of the group that a file belongs to.
func Group(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Gid }

// Limit returns the soft limit of a resource, 0 if there is none such.
func Limit(resource int) uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(resource, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// Capabilities returns those of the first 32 capabilities that are in force for the calling
// thread, a bit for each.
func Capabilities() uint32 {
	// _LINUX_CAPABILITY_VERSION_3, which tells of 64.
	header := struct{ version, tid uint32 }{version: 0x20080522}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	// It fails only if a filter of system calls refuses it.
	_, _, _ = syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)),
		uintptr(unsafe.Pointer(&sets)), 0)
	return sets[0].effective
}

// LockMemory locks all memory of the process, and what it maps later.
func LockMemory() syscall.Errno {
	errno, _ := syscall.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE).(syscall.Errno)
	return errno
}

// UnlockMemory unlocks all memory of the process.
func UnlockMemory() {
	// It fails only on a kernel without memory management.
	_ = syscall.Munlockall()
}
