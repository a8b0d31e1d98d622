// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

// Server is what go_sched_bench_guest puts under load: an HTTP server, and work in the
// background that competes with it, in this process or in another one.
//
// It says in a line of JSON that it is ready, counts between the lines "begin" and
// "end" of its standard input, answers the latter with another line of JSON, and ends
// with its input.
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
)

// ready is the first line of output.
type ready struct {
	// Where the server listens; empty without one.
	Address string `json:"address,omitempty"`
	// Thread ids of the background work.
	Background []int `json:"background"`
}

// counts is the answer to "end": what happened since "begin".
type counts struct {
	Elapsed         int64  `json:"elapsed_ns"`
	RequestUnits    uint64 `json:"request_units"`
	BackgroundUnits uint64 `json:"background_units"`
	// Of the timing loop, in nanoseconds.
	Periods []time.Duration `json:"periods_ns"`
}

func main() {
	listen := flag.String("listen", "", "address to serve HTTP at; without it, no server")
	units := flag.Int("units", 1, "units of work that a request takes")
	threads := flag.Int("background", 0, "number of threads that work in the background")
	garbage := flag.Bool("garbage", false, "the background work keeps the garbage collector busy")
	hint := flag.Bool("hint", false, "the background work lowers itself by hints while it burns")
	calibrate := flag.Bool("calibrate", false, "print the nanoseconds that a unit takes, and end")
	flag.Parse()
	if flag.NArg() > 0 || *units < 1 || *threads < 0 {
		fmt.Fprintln(os.Stderr, "server: takes no arguments, and no negative numbers")
		os.Exit(2)
	}
	if *calibrate {
		fmt.Println(unitTime().Nanoseconds())
		return
	}
	if err := run(*listen, *units, *threads, *garbage, *hint); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(listen string, units, threads int, garbage, hint bool) error {
	// A thread of the background never blocks, so its P is taken for good; and the timing
	// loop is to wait for none. With as many more it is the kernel that shares out the
	// CPUs, and not the Go runtime.
	runtime.GOMAXPROCS(runtime.NumCPU() + threads + 1)

	// Collecting garbage is a case of its own. In the others the few collections, tens of
	// milliseconds each under emulation, would be all that a 99.9th percentile shows.
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
	return converse(first, s, w)
}

// converse serves the protocol until its input ends.
func converse(first ready, s *server, w *background) error {
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

// unitTime measures what a unit takes when nothing competes: the best of many samples.
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
