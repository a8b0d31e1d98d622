// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"os"
	"syscall"
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
