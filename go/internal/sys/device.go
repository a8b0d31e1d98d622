// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"os"
	"syscall"
	"unsafe"
)

func ioctl(fd int, request uintptr, argument unsafe.Pointer) (int, syscall.Errno) {
	result, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
	return int(result), errno
}

// Open opens a file to make requests to.
func Open(path string) (int, syscall.Errno) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	errno, _ := err.(syscall.Errno)
	return fd, errno
}

// IsNodev tells whether a file is on a filesystem that is mounted so that no device of it can
// be opened.
func IsNodev(path string) bool {
	const nodev = 4 // ST_NODEV of statvfs(3).
	var at syscall.Statfs_t
	return syscall.Statfs(path, &at) == nil && at.Flags&nodev != 0
}

// Close closes what Open opened.
func Close(fd int) error { return os.NewSyscallError("close", syscall.Close(fd)) }

// Version returns the version of the ABI that the device has.
func Version(fd int) (int, syscall.Errno) { return ioctl(fd, iocVersion, nil) }

// Set gives a thread a priority.
func Set(fd, tid int, prio, flags uint32) syscall.Errno {
	argument := setArgument{flags: flags, target: int32(tid), prio: prio}
	argument.size = uint32(unsafe.Sizeof(argument))
	_, errno := ioctl(fd, iocSet, unsafe.Pointer(&argument))
	return errno
}

// Get returns the status of a thread.
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

// Follow has the kernel look at the slot of a thread, if that asks for more.
func Follow(fd, tid int) syscall.Errno {
	argument := followArgument{target: int32(tid)}
	argument.size = uint32(unsafe.Sizeof(argument))
	_, errno := ioctl(fd, iocFollow, unsafe.Pointer(&argument))
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

// Map maps slots of the device from an offset of its hint pages on, both in bytes.
func Map(fd int, offset int64, size int) ([]Slot, syscall.Errno) {
	page, err := syscall.Mmap(fd, offset, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err.(syscall.Errno)
	}
	return unsafe.Slice((*Slot)(unsafe.Pointer(&page[0])), size/SlotSize), 0
}

// Unmap unmaps what Map returned, of which no slot may be used any more.
func Unmap(slots []Slot) {
	page := unsafe.Slice((*byte)(unsafe.Pointer(&slots[0])), len(slots)*SlotSize)
	// It fails only for what is not mapped.
	_ = syscall.Munmap(page)
}
