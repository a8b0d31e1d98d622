// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Package syscall stops short of these; the values are those of x86-64.
const (
	clockMonotonic = 1
	timerAbstime   = 1
)

// kernelParams are the scheduling parameters in force for a thread.
type kernelParams struct {
	Policy  string `json:"policy"`
	Nice    int32  `json:"nice"`        // -20 to 19
	RTPrio  uint32 `json:"rt_priority"` // 1 to 99; 0 outside the real-time policies.
	SliceNS uint64 `json:"slice_ns"`    // EEVDF slice; 0 outside the fair policies.
}

// String is short, for the table; it leaves out the slice.
func (k kernelParams) String() string {
	if k.Policy == "SCHED_OTHER" {
		return fmt.Sprintf("nice %d", k.Nice)
	}
	name := strings.TrimPrefix(k.Policy, "SCHED_")
	if k.RTPrio > 0 {
		return fmt.Sprintf("%s %d", name, k.RTPrio)
	}
	return name
}

// details tells parameters apart that print alike.
func (k kernelParams) details() string {
	return fmt.Sprintf("%s, nice %d, real-time priority %d, slice %d ns",
		k.Policy, k.Nice, k.RTPrio, k.SliceNS)
}

// satisfies tells whether k is what the mapping wants, which is silent (0)
// about the slice where the kernel's default stays.
func (k kernelParams) satisfies(want kernelParams) bool {
	if want.SliceNS == 0 {
		k.SliceNS = 0
	}
	return k == want
}

// cpuSet is large enough for the 1024 CPUs of the C library's cpu_set_t.
type cpuSet [16]uint64

// allowedCPUs lists the CPUs this process may use, lowest first.
func allowedCPUs() ([]int, error) {
	var set cpuSet
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0,
		unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	if errno != 0 {
		return nil, os.NewSyscallError("sched_getaffinity", errno)
	}
	var cpus []int
	for cpu := 0; cpu < 64*len(set); cpu++ {
		if set[cpu/64]&(1<<(cpu%64)) != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// pinProcess confines the program to its first CPU, and returns which that is.
// The runtime has threads before main starts, so the program executes itself
// once more: all threads of the new image inherit the affinity of this one.
func pinProcess() (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpus, err := allowedCPUs()
	if err != nil {
		return 0, err
	}
	if len(cpus) == 1 {
		return cpus[0], nil
	}
	var set cpuSet
	set[cpus[0]/64] = 1 << (cpus[0] % 64)
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0,
		unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	if errno != 0 {
		return 0, os.NewSyscallError("sched_setaffinity", errno)
	}
	return 0, os.NewSyscallError("execve", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// readClock panics on failure, which the kernel excludes for the two kinds of
// clock used here: the monotonic one and that of a thread of this process.
func readClock(id int) time.Duration {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(id),
		uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		panic(os.NewSyscallError("clock_gettime", errno))
	}
	return time.Duration(ts.Nano())
}

// now is the time on the clock that sleepUntil sleeps by.
func now() time.Duration { return readClock(clockMonotonic) }

// cpuTime is the processor time that a thread of this process has used. The
// clock's number is the kernel's encoding, see clock_getcpuclockid(3).
func cpuTime(tid int) time.Duration { return readClock(^tid<<3 | 6) }

// sleepUntil blocks the thread in the kernel. time.Sleep would park only the
// goroutine, and a thread without a Go priority would have to wake it.
func sleepUntil(deadline time.Duration) {
	ts := syscall.NsecToTimespec(int64(deadline))
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic,
			timerAbstime, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
