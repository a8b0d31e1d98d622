// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Command disturbed is for tests of what tells the cause of latency spikes. It serves requests one
// after the other, on one CPU, and prints of each when it began, how long it took, and by which
// disturbance, if any: for some requests, twice, shells compete for the CPU.
package main

import (
	"bytes"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"go_sched/gosched/internal/program"
	"go_sched/gosched/internal/sys"
)

const (
	requests    = 120
	first       = 40 // The first request of the first disturbance.
	second      = 80
	disturbed   = 10 // The requests of a disturbance.
	competitors = 7
	// work is the CPU time of a request: longer than the kernel's time slices.
	work  = 10 * time.Millisecond
	pause = 2 * time.Millisecond
)

func main() {
	program.Parse("", func() bool { return true })
	runtime.LockOSThread()
	program.Fail(1, pin())
	var out bytes.Buffer
	fmt.Fprintln(&out, "start_ns,latency_ns,disturbance")
	var shells []*exec.Cmd
	for request := 0; request < requests; request++ {
		switch request {
		case first, second:
			for range make([]struct{}, competitors) {
				shell := exec.Command("/bin/sh", "-c", "while :; do :; done")
				// None outlives this thread, which is locked.
				shell.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
				program.Fail(1, shell.Start())
				shells = append(shells, shell)
			}
		case first + disturbed, second + disturbed:
			for _, shell := range shells {
				program.Fail(1, shell.Process.Kill())
				_ = shell.Wait() // It was killed.
			}
			shells = nil
		}
		start := sys.Monotonic()
		serve()
		fmt.Fprintf(&out, "%d,%d,%d\n", start, sys.Monotonic()-start, disturbance(request))
		sys.SleepUntil(sys.Monotonic() + pause)
	}
	_, err := os.Stdout.Write(out.Bytes())
	program.Fail(1, err)
}

// pin confines the calling thread, and what it starts, to the first CPU that it may use.
func pin() error {
	var allowed sys.CPUSet
	if err := sys.GetAffinity(&allowed); err != nil {
		return err
	}
	var one sys.CPUSet
	for i, word := range allowed {
		if word != 0 {
			one[i] = 1 << bits.TrailingZeros64(word)
			break
		}
	}
	return sys.SetAffinity(&one)
}

// disturbance returns the number of the disturbance that a request is served in, 0 for none.
func disturbance(request int) int {
	switch {
	case request >= first && request < first+disturbed:
		return 1
	case request >= second && request < second+disturbed:
		return 2
	}
	return 0
}

// serve uses up CPU time.
func serve() {
	tid := syscall.Gettid()
	for end := sys.CPUTime(tid) + work; sys.CPUTime(tid) < end; {
	}
}
