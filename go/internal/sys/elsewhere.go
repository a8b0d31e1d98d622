// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build !linux

package sys

import (
	"os"
	"syscall"
	"time"
)

// Linux tells whether there are threads of Linux here.
const Linux = false

func Open(string) (int, syscall.Errno)               { return -1, syscall.ENOSYS }
func IsNodev(string) bool                            { return false }
func Close(int) error                                { return syscall.ENOSYS }
func Version(int) (int, syscall.Errno)               { return 0, syscall.ENOSYS }
func Set(int, int, uint32, uint32) syscall.Errno     { return syscall.ENOSYS }
func Get(int, int) (GetAnswer, syscall.Errno)        { return GetAnswer{}, syscall.ENOSYS }
func Clear(int, int) syscall.Errno                   { return syscall.ENOSYS }
func Follow(int, int) syscall.Errno                  { return syscall.ENOSYS }
func Bind(int, uint32) syscall.Errno                 { return syscall.ENOSYS }
func Unbind(int) syscall.Errno                       { return syscall.ENOSYS }
func Map(int, int64, int) ([]Slot, syscall.Errno)    { return nil, syscall.ENOSYS }
func Unmap([]Slot)                                   {}
func GetAttr(int) (SchedAttr, syscall.Errno)         { return SchedAttr{}, syscall.ENOSYS }
func SetAttr(int, SchedAttr) syscall.Errno           { return syscall.ENOSYS }
func SetParam(int, uint32) syscall.Errno             { return syscall.ENOSYS }
func SetSchedprio(int, uint32, uint32) syscall.Errno { return syscall.ENOSYS }
func Group(os.FileInfo) uint32                       { return 0 }
func Limit(int) uint64                               { return 0 }
func Capabilities() uint32                           { return 0 }
func LockMemory() syscall.Errno                      { return syscall.ENOSYS }
func UnlockMemory()                                  {}
func Name() ThreadName                               { return ThreadName{} }
func SetName(ThreadName)                             {}

// Gettid returns the same for all threads.
func Gettid() int { return 0 }

var start = time.Now()

// Monotonic returns the time on the clock that SleepUntil sleeps by.
func Monotonic() time.Duration { return time.Since(start) }

// SleepUntil blocks the goroutine until a time of Monotonic.
func SleepUntil(due time.Duration) { time.Sleep(due - Monotonic()) }
