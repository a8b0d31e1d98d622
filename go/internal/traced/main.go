// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Command traced is for tests of what reads traces of Go programs. It does what the events of
// a trace are about, -rounds times, and writes its trace to the file of the flag -o.
//
// It waits for -pause after each round. With -flight the trace is a flight recorder's, which has
// no beginning. With -small it is that of a few goroutines, and of a few KB.
package main

import (
	"flag"
	"time"

	"go_sched/gosched/internal/program"
	"go_sched/gosched/tracefile"
)

func main() {
	path := flag.String("o", "", "")
	rounds := flag.Int("rounds", 20, "")
	flight := flag.Bool("flight", false, "")
	small := flag.Bool("small", false, "")
	pause := flag.Duration("pause", 0, "")
	program.Parse("-o is a file, and -rounds a number from 1", func() bool {
		return *path != "" && *rounds > 0
	})
	work := workOfAllKinds
	if *small {
		work = workOfAFew
	}
	repeat := func() {
		for i := 0; i < *rounds; i++ {
			work()
			time.Sleep(*pause)
		}
	}
	if *flight {
		program.Fail(1, recordFlight(*path, repeat))
		return
	}
	stop, err := tracefile.Start(*path)
	program.Fail(1, err)
	repeat()
	program.Fail(1, stop())
}

// recordFlight writes what a flight recorder has kept of the end of some work.
func recordFlight(path string, work func()) error {
	recorder, err := tracefile.StartFlightRecorder(path, tracefile.FlightOptions{MinAge: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	start := time.Now()
	work()
	recorder.Check(start, 0)
	recorder.Stop()
	return recorder.Stats().Err
}
