// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Constants of include/uapi/linux/time.h.
const (
	clockMonotonic = 1
	timerAbstime   = 1
)

// Monotonic returns the time on the clock that SleepUntil sleeps by.
func Monotonic() time.Duration { return readClock(clockMonotonic) }

// CPUTime returns the processor time that a thread of this process has used. The number
// of the clock is encoded as clock_getcpuclockid(3) does.
func CPUTime(tid int) time.Duration { return readClock(^tid<<3 | 6) }

func readClock(id int) time.Duration {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(id),
		uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		// The kernel excludes it for the monotonic clock and for a thread that exists.
		panic(os.NewSyscallError("clock_gettime", errno))
	}
	return time.Duration(ts.Nano())
}

// SleepUntil blocks the calling thread in the kernel until a time of Monotonic.
// time.Sleep would block the goroutine alone, and leave it to another thread of the Go
// runtime, which has no Go priority, to wake it.
func SleepUntil(due time.Duration) {
	ts := syscall.NsecToTimespec(int64(due))
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic,
			timerAbstime, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		switch errno {
		case 0:
			return
		case syscall.EINTR: // The Go runtime sends signals to threads.
		default:
			panic(os.NewSyscallError("clock_nanosleep", errno))
		}
	}
}
