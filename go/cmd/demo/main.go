// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

// Demo shows what Go priorities do for a Go service. Request handlers, two
// background workers and the marking of a garbage collector share one CPU, each
// on a thread locked with runtime.LockOSThread. The first phase has no
// priorities; the second has the same load, and priorities that package gosched
// sets. The exit status is 1 if the kernel does not report what the mapping
// says, or nothing changed.
package main

import (
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"time"

	"go_sched/gosched/internal/program"
)

// The main thread keeps its name, which is the program's: no other goroutine gets it.
func init() { runtime.LockOSThread() }

func main() {
	duration := flag.Duration("duration", 6*time.Second, "length of each of the two phases")
	asJSON := flag.Bool("json", false, "print the report as JSON")
	program.Parse("-duration is at least 1s", func() bool { return *duration >= time.Second })
	r, err := run(*duration)
	program.Fail(2, err)
	if *asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		r.print(os.Stdout)
	}
	if err != nil || len(r.Failures) > 0 {
		os.Exit(1)
	}
}
