// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// schedSetattrNumbers has the number of sched_setattr(2) by architecture, which package
// syscall does not define. That of sched_getattr(2) is the next one.
var schedSetattrNumbers = map[string]uintptr{
	"386":      351,
	"amd64":    314,
	"arm":      380,
	"arm64":    274,
	"loong64":  274,
	"mips":     4349,
	"mipsle":   4349,
	"mips64":   5309,
	"mips64le": 5309,
	"ppc64":    355,
	"ppc64le":  355,
	"riscv64":  274,
	"s390x":    345,
}

// schedSetattr is 0 on an architecture that is not known.
var schedSetattr = schedSetattrNumbers[runtime.GOARCH]

// GetAttr returns the attributes that a thread has without a Go priority.
func GetAttr(tid int) (SchedAttr, syscall.Errno) {
	var a SchedAttr
	if schedSetattr == 0 {
		return a, syscall.ENOSYS
	}
	_, _, errno := syscall.Syscall6(schedSetattr+1, uintptr(tid),
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
	if schedSetattr == 0 {
		return syscall.ENOSYS
	}
	_, _, errno := syscall.Syscall(schedSetattr, uintptr(tid), uintptr(unsafe.Pointer(&a)), 0)
	return errno
}

// SetParam is sched_setparam(2): it gives a thread a real-time priority within its policy.
func SetParam(tid int, rtPriority uint32) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETPARAM, uintptr(tid),
		uintptr(unsafe.Pointer(&rtPriority)), 0)
	return errno
}

// SetSchedprio is go_set_schedprio(2): it gives a thread a Go priority. On many other
// architectures its number is that of msgsnd(2).
func SetSchedprio(tid int, prio, flags uint32) syscall.Errno {
	if runtime.GOARCH != "amd64" {
		return syscall.ENOSYS
	}
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
