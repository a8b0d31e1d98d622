// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

// Bench-server is the server that go_sched_bench_guest puts under load. It answers HTTP
// requests, or runs work in the background that competes with them, or both.
//
// It prints a line of JSON when it is ready. It counts between the lines "begin" and "end"
// of its standard input, prints the counts in a line of JSON at "end", and exits at the end
// of its input.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"go_sched/gosched"
	"go_sched/gosched/internal/program"
)

// ready is the first line of output.
type ready struct {
	// The address that the server listens at, empty without a server.
	Address string `json:"address,omitempty"`
	// Thread ids of the background work.
	Background []int `json:"background"`
}

// counts is the answer to "end". It counts from "begin" on.
type counts struct {
	Elapsed         int64  `json:"elapsed_ns"`
	RequestUnits    uint64 `json:"request_units"`
	BackgroundUnits uint64 `json:"background_units"`
	// The periods of the timing loop.
	Periods []time.Duration `json:"periods_ns"`
}

func main() {
	listen := flag.String("listen", "", "address to serve HTTP at; without it, no server")
	units := flag.Int("units", 1, "units of work that a request takes")
	threads := flag.Int("background", 0, "number of threads that work in the background")
	garbage := flag.Bool("garbage", false, "the background work keeps the garbage collector busy")
	hint := flag.Bool("hint", false, "the background work lowers itself by hints while it burns")
	calibrate := flag.Bool("calibrate", false, "print the nanoseconds that a unit takes, and end")
	program.Parse("no negative numbers", func() bool { return *units >= 1 && *threads >= 0 })
	if *calibrate {
		fmt.Println(unitTime().Nanoseconds())
		return
	}
	program.Fail(1, run(*listen, *units, *threads, *garbage, *hint))
}

func run(listen string, units, threads int, garbage, hint bool) error {
	// A background thread never blocks, and so keeps its P; the timing loop must not wait for
	// a P. With one more for each, the kernel shares out the CPUs, and not the Go runtime.
	runtime.GOMAXPROCS(runtime.NumCPU() + threads + 1)

	// Garbage collection is a scenario of its own. In the others a 99.9th percentile would show
	// only the few collections, which take tens of milliseconds each under emulation.
	if !garbage {
		debug.SetGCPercent(-1)
	}

	w := &background{garbage: garbage}
	if hint {
		scheduler, err := gosched.Open()
		if err != nil {
			return err
		}
		w.scheduler = scheduler
	}
	first := ready{Background: []int{}}
	s := &server{units: units}
	if listen != "" {
		address, err := s.start(listen)
		if err != nil {
			return err
		}
		first.Address = address
	}
	for i := 0; i < threads; i++ {
		tid, err := w.start()
		if err != nil {
			return err
		}
		first.Background = append(first.Background, tid)
	}
	return serveCommands(first, s, w)
}

// serveCommands prints the first line and answers commands until the end of the input.
func serveCommands(first ready, s *server, w *background) error {
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(first); err != nil {
		return err
	}
	var atBegin counts
	var start time.Time
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		now := counts{RequestUnits: s.done.Load(), BackgroundUnits: w.units()}
		switch commands.Text() {
		case "begin":
			atBegin, start = now, time.Now()
			s.timing.begin()
		case "end":
			now.Elapsed = time.Since(start).Nanoseconds()
			now.RequestUnits -= atBegin.RequestUnits
			now.BackgroundUnits -= atBegin.BackgroundUnits
			now.Periods = s.timing.end()
			if err := out.Encode(now); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown command %q", commands.Text())
		}
	}
	return commands.Err()
}

// unitTime returns the time that a unit of work takes without competition: the shortest of
// many samples.
func unitTime() time.Duration {
	const samples, perSample = 50, 20
	best := time.Duration(1<<63 - 1)
	var p page
	for i := 0; i < samples; i++ {
		start := time.Now()
		for j := 0; j < perSample; j++ {
			p.work()
		}
		if took := time.Since(start) / perSample; took < best {
			best = took
		}
	}
	return best
}
