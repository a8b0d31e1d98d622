// SPDX-License-Identifier: GPL-2.0

//go:build linux

// Package gosched gives kernel threads a Go priority: one number, 0 to 63 and higher
// = more urgent, which the Linux scheduler maps to its own parameters while the module
// go_sched_class is loaded.
//
// The kernel orders threads, not goroutines: a goroutine that wants a priority of its
// own locks itself to a thread with runtime.LockOSThread first.
//
//	runtime.LockOSThread()
//	defer runtime.UnlockOSThread()
//	hint, err := device.Bind()
//	if err != nil {
//		return err
//	}
//	defer hint.Unbind()
//	hint.Set(8)
//	compact()
//	hint.Clear()
package gosched

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Path is where the device is.
const Path = "/dev/go_sched"

// Prio is a priority: 0 to MaxPrio, higher = more urgent.
type Prio uint8

// MaxPrio is the most urgent priority.
const MaxPrio Prio = levels - 1

// Children says where threads start that a thread with a priority creates.
type Children uint32

const (
	// StartAtBase has them start without a priority.
	StartAtBase Children = 0
	// Inherit has them start at the priority of the thread that creates them.
	Inherit Children = flagInherit
)

// Device is the open device. Its methods may be called from any goroutine.
type Device struct {
	fd int

	mu sync.Mutex // Guards what follows.
	// The hint pages mapped so far, in the order of their slots.
	pages [][]byte
	// Slots of these pages that no Hint has.
	free []uint32
}

// Open opens the device of the loaded module.
func Open() (*Device, error) {
	fd, err := syscall.Open(Path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: Path, Err: err}
	}
	d := &Device{fd: fd}
	version, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), requestVersion, 0)
	if errno == 0 && version != abiVersion {
		err = fmt.Errorf("%s: the module has ABI version %d, this program %d",
			Path, version, abiVersion)
	} else if errno != 0 {
		err = &os.PathError{Op: "GO_SCHED_VERSION", Path: Path, Err: errno}
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return d, nil
}

// Close closes the device. Priorities stay, and so do the slots that threads are
// bound to: what they are told last stays in force.
func (d *Device) Close() error {
	// The pages stay mapped: a Hint may still be stored to.
	return os.NewSyscallError("close", syscall.Close(d.fd))
}

// Set gives a thread a priority; 0 is the calling one.
func (d *Device) Set(tid int, prio Prio, children Children) error {
	argument := setArgument{flags: uint32(children), target: int32(tid), prio: uint32(prio)}
	argument.size = uint32(unsafe.Sizeof(argument))
	return d.request("GO_SCHED_SET", requestSet, unsafe.Pointer(&argument))
}

// Clear takes a thread's priority away, which returns it to what it had before; 0 is
// the calling thread. It succeeds when there is none.
func (d *Device) Clear(tid int) error {
	argument := clearArgument{target: int32(tid)}
	argument.size = uint32(unsafe.Sizeof(argument))
	return d.request("GO_SCHED_CLEAR", requestClear, unsafe.Pointer(&argument))
}

func (d *Device) request(name string, number uintptr, argument unsafe.Pointer) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(d.fd), number, uintptr(argument))
	if errno != 0 {
		return os.NewSyscallError(name, errno)
	}
	return nil
}
