// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Package sys makes the system calls that package syscall does not have, and the requests
// to /dev/go_sched. No other package of this module imports unsafe.
//
// A thread is named by its id; 0 is the calling thread.
package sys

import (
	"syscall"
	"unsafe"
)

func ioctl(fd int, request uintptr, argument unsafe.Pointer) (int, syscall.Errno) {
	result, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
	return int(result), errno
}

// Version returns the version of the ABI that the device has.
func Version(fd int) (int, syscall.Errno) { return ioctl(fd, iocVersion, nil) }

// Set gives a thread a priority.
func Set(fd, tid int, prio, flags uint32) syscall.Errno {
	argument := setArgument{flags: flags, target: int32(tid), prio: prio}
	argument.size = uint32(unsafe.Sizeof(argument))
	_, errno := ioctl(fd, iocSet, unsafe.Pointer(&argument))
	return errno
}

// Get returns the state of a thread.
func Get(fd, tid int) (GetAnswer, syscall.Errno) {
	answer := GetAnswer{target: int32(tid)}
	answer.size = uint32(unsafe.Sizeof(answer))
	_, errno := ioctl(fd, iocGet, unsafe.Pointer(&answer))
	return answer, errno
}

// Clear ends the priority of a thread.
func Clear(fd, tid int) syscall.Errno {
	argument := clearArgument{target: int32(tid)}
	argument.size = uint32(unsafe.Sizeof(argument))
	_, errno := ioctl(fd, iocClear, unsafe.Pointer(&argument))
	return errno
}

// Bind binds the calling thread to a slot of the device's hint pages.
func Bind(fd int, slot uint32) syscall.Errno {
	argument := bindArgument{slot: slot}
	argument.size = uint32(unsafe.Sizeof(argument))
	_, errno := ioctl(fd, iocBind, unsafe.Pointer(&argument))
	return errno
}

// Unbind ends the binding of the calling thread.
func Unbind(fd int) syscall.Errno {
	_, errno := ioctl(fd, iocUnbind, nil)
	return errno
}

// Slots returns the slots of a mapped hint page, which must stay mapped while they are used.
func Slots(page []byte) []Slot {
	return unsafe.Slice((*Slot)(unsafe.Pointer(&page[0])), len(page)/SlotSize)
}
