// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// Policies of include/uapi/linux/sched.h.
const (
	schedOther    = 0
	schedFIFO     = 1
	schedRR       = 2
	schedBatch    = 3
	schedIdle     = 5
	schedDeadline = 6
)

// Where the bands begin; policy/mod.rs has them, and schedattr_test.go compares.
const (
	fairFirst Prio = 16
	niceZero  Prio = 32
	rtFirst   Prio = 48
	// The slice at fairFirst, in nanoseconds, and its fall by level, in thousandths.
	sliceFirst, sliceStep uint64 = 30_000_000, 866
)

// attributes is the first version of struct sched_attr, see sched_setattr(2).
type attributes struct {
	size, policy              uint32
	flags                     uint64
	nice                      int32
	rtPriority                uint32
	runtime, deadline, period uint64 // Of fair threads, runtime is the slice. In ns.
}

// at returns what comes nearest to a priority in a thread that has a now. It keeps what
// the priority does not say: the flags, and the nice value of what is not fair.
func (a attributes) at(prio Prio) attributes {
	a.rtPriority, a.runtime, a.deadline, a.period = 0, 0, 0, 0
	switch {
	case prio < fairFirst:
		a.policy = schedIdle
	case prio < rtFirst:
		a.policy, a.nice = schedOther, int32(niceZero)-int32(prio)
		a.runtime = sliceFirst
		for level := fairFirst; level < prio; level++ {
			a.runtime = a.runtime * sliceStep / 1000
		}
	default:
		a.policy, a.rtPriority = schedRR, uint32(prio-rtFirst)+1
	}
	return a
}

// isAt tells whether these are what comes of a priority. The slice does not count: older
// kernels do not tell it.
func (a attributes) isAt(prio Prio) bool {
	want := a.at(prio)
	want.runtime = a.runtime
	return a == want
}

// getAttributes returns what a thread has without a Go priority.
func getAttributes(tid int) (attributes, syscall.Errno) {
	var a attributes
	_, _, errno := syscall.Syscall6(sysSchedGetattr, uintptr(tid),
		uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a), 0, 0, 0)
	if errno != 0 {
		return a, errno
	}
	a.size = uint32(unsafe.Sizeof(a))
	// Of a real-time thread it does not tell the nice value, which is there nonetheless.
	// The bare system call counts from 20 downwards, as no result is to be negative.
	lessNice, err := syscall.Getpriority(syscall.PRIO_PROCESS, tid)
	a.nice = 20 - int32(lessNice)
	errno, _ = err.(syscall.Errno)
	return a, errno
}

func setAttributes(tid int, a attributes) syscall.Errno {
	_, _, errno := syscall.Syscall(sysSchedSetattr, uintptr(tid), uintptr(unsafe.Pointer(&a)), 0)
	return errno
}

const (
	rlimitNice   = 13
	rlimitRTPrio = 14
	capSysNice   = 23
)

// mayChange tells whether sched_setattr(2) would let the calling thread go from one to
// the other.
func mayChange(from, to attributes) bool {
	return hasSysNice() || allowed(from, to, limit(rlimitNice), limit(rlimitRTPrio))
}

// allowed tells it for a thread without CAP_SYS_NICE and with these limits. See
// user_check_sched_setscheduler() in kernel/sched/syscalls.c.
func allowed(from, to attributes, niceLimit, rtLimit uint64) bool {
	mayHave := func(nice int32) bool { return uint64(20-nice) <= niceLimit }
	switch to.policy {
	case schedFIFO, schedRR:
		if to.policy != from.policy && rtLimit == 0 {
			return false
		}
		if to.rtPriority > from.rtPriority && uint64(to.rtPriority) > rtLimit {
			return false
		}
	case schedOther, schedBatch:
		if to.nice < from.nice && !mayHave(to.nice) {
			return false
		}
	}
	return from.policy != schedIdle || to.policy == schedIdle || mayHave(from.nice)
}

func limit(resource int) uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(resource, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// initialUserNamespace is the inode of the first one, PROC_USER_INIT_INO of
// include/linux/proc_ns.h.
const initialUserNamespace = "user:[4026531837]"

// hasSysNice tells whether the calling thread has CAP_SYS_NICE. Only that of the initial
// user namespace counts; in another one, all root's capabilities are of that one.
func hasSysNice() bool {
	// Without user namespaces, there is no such file.
	if namespace, err := os.Readlink("/proc/self/ns/user"); err == nil && namespace != initialUserNamespace {
		return false
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(status, []byte("\nCapEff:\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	effective, err := strconv.ParseUint(string(line), 16, 64)
	return err == nil && effective&(1<<capSysNice) != 0
}
