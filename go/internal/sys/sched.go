// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"os"
	"syscall"
	"unsafe"
)

// Policies of include/uapi/linux/sched.h.
const (
	SchedOther    = 0
	SchedFIFO     = 1
	SchedRR       = 2
	SchedBatch    = 3
	SchedIdle     = 5
	SchedDeadline = 6
)

// SchedAttr is the first version of struct sched_attr, see sched_setattr(2).
type SchedAttr struct {
	Size, Policy              uint32
	Flags                     uint64
	Nice                      int32
	RTPriority                uint32
	Runtime, Deadline, Period uint64 // In ns. Runtime is the slice of a fair thread.
}

// GetAttr returns the attributes that a thread has without a Go priority.
func GetAttr(tid int) (SchedAttr, syscall.Errno) {
	var a SchedAttr
	_, _, errno := syscall.Syscall6(sysSchedGetattr, uintptr(tid),
		uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a), 0, 0, 0)
	if errno != 0 {
		return a, errno
	}
	a.Size = uint32(unsafe.Sizeof(a))
	// sched_getattr(2) leaves out the nice value of a real-time thread. The bare
	// getpriority(2) returns 20 less the nice value, as no result is to be negative.
	lessNice, err := syscall.Getpriority(syscall.PRIO_PROCESS, tid)
	a.Nice = 20 - int32(lessNice)
	errno, _ = err.(syscall.Errno)
	return a, errno
}

// SetAttr gives a thread attributes.
func SetAttr(tid int, a SchedAttr) syscall.Errno {
	_, _, errno := syscall.Syscall(sysSchedSetattr, uintptr(tid), uintptr(unsafe.Pointer(&a)), 0)
	return errno
}

// SetParam is sched_setparam(2): it gives a thread a real-time priority within its policy.
func SetParam(tid int, rtPriority uint32) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETPARAM, uintptr(tid),
		uintptr(unsafe.Pointer(&rtPriority)), 0)
	return errno
}

// SetSchedprio is go_set_schedprio(2): it gives a thread a Go priority.
func SetSchedprio(tid int, prio, flags uint32) syscall.Errno {
	_, _, errno := syscall.Syscall(nrSetSchedprio, uintptr(tid), uintptr(prio), uintptr(flags))
	return errno
}

// CPUSet has a bit for each of 1024 CPUs, as cpu_set_t of the C library does.
type CPUSet [16]uint64

// GetAffinity stores the CPUs that the calling thread may use.
func GetAffinity(set *CPUSet) error {
	return set.call("sched_getaffinity", syscall.SYS_SCHED_GETAFFINITY)
}

// SetAffinity confines the calling thread to CPUs.
func SetAffinity(set *CPUSet) error {
	return set.call("sched_setaffinity", syscall.SYS_SCHED_SETAFFINITY)
}

func (s *CPUSet) call(name string, number uintptr) error {
	_, _, errno := syscall.RawSyscall(number, 0, unsafe.Sizeof(*s), uintptr(unsafe.Pointer(s)))
	if errno != 0 {
		return os.NewSyscallError(name, errno)
	}
	return nil
}
