// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

// Bench-goroutines measures how long a request waits beside goroutines that work in the
// background, and what the work gets done meanwhile; or what the scheduler of Go's runtime
// costs. It prints the result in a line of JSON.
//
// With -compare PROGRAM, the same program built with the overlay of gosched-overlay, it runs
// itself and PROGRAM in turn, and prints a table of both. "make bench-host" does that.
package main

import (
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"sort"
	"sync/atomic"
	"time"

	"go_sched/gosched/internal/program"
)

// low is the priority of the background where it has one.
const low = 8

// raised is the priority of the requests where they have one.
const raised = 50

// warmUp is the time before measuring, in which all goroutines begin.
const warmUp = 200 * time.Millisecond

// result is what is printed.
type result struct {
	Go   string        `json:"go"`
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
	// Units of the background's work, and collections of garbage.
	Units       float64 `json:"units_per_second"`
	Collections float64 `json:"collections_per_second"`
	// Standard deviations: of the units done in a window, in per cent of their mean, and of the
	// pauses of all collections.
	Spread  float64       `json:"units_deviation_percent"`
	PauseSD time.Duration `json:"pause_deviation_ns"`
	threadFigures
	burstFigures
	*groupFigures
}

type options struct {
	work       string
	goroutines int
	remedy     string
	request    string
	every      time.Duration
	length     time.Duration
	live       int
	url        string
	burst      int
	latencies  string
	trace      string
	// Called after each request, with the time it was due.
	after func(due time.Time, took time.Duration)
}

func main() {
	var o options
	flag.StringVar(&o.work, "work", "compute", "work of the background: compute, allocate, gzip, read (for ever)")
	flag.IntVar(&o.goroutines, "goroutines", 4, "goroutines of the background")
	flag.StringVar(&o.remedy, "remedy", "nothing", "what is done for the requests: nothing, "+
		"\"more Ps\", SET, hint, SCHED_IDLE, \"chrt -r\", raise, \"own threads\", go_sched")
	flag.StringVar(&o.request, "request", "compute", "what a request does: compute, allocate, http, stop (the world), "+
		"burst (of goroutines), nothing, nanosleep")
	flag.DurationVar(&o.every, "every", 5*time.Millisecond, "time from one request to the next")
	flag.DurationVar(&o.length, "for", 2*time.Second, "time that requests come for")
	flag.IntVar(&o.live, "live", 2, "MiB that -work allocate keeps reachable")
	flag.StringVar(&o.url, "url", "", "make HTTP requests there, and print the latency of each")
	flag.IntVar(&o.burst, "burst", 100, "goroutines that -request burst starts")
	flag.StringVar(&o.latencies, "latencies", "", "write when each request was due and its latency to this file, as CSV")
	flag.StringVar(&o.trace, "trace", "", "write a trace of the runtime to this file")
	cost := flag.String("cost", "", "measure instead the cost of: switch, gosched, go, program")
	lowered := flag.Bool("lowered", false, "with -cost: a goroutine is lowered; with -cost program, all are")
	compared := flag.String("compare", "", "compare with this program, which has the overlay")
	program.Parse("-goroutines and -live are not negative, -burst is positive, and -for is no shorter than -every", func() bool {
		return o.goroutines >= 0 && o.live >= 0 && o.burst > 0 && o.every > 0 && o.length >= o.every
	})
	var err error
	switch {
	case *compared != "":
		err = compare(*compared)
	case o.url != "":
		err = printRequests(o)
	case *cost != "":
		err = measureCost(*cost, *lowered)
	default:
		err = measure(o)
	}
	program.Fail(1, err)
}

// measure prints what requests and the background were given.
func measure(o options) error {
	work, err := newWork(o)
	if err != nil {
		return err
	}
	var bursts burstFigures
	request, err := newRequest(o, &bursts)
	if err != nil {
		return err
	}
	remedy, err := newRemedy(o.remedy, o.goroutines)
	if err != nil {
		return err
	}
	var units int64
	ended := make(chan error, o.goroutines+1)
	for i := 0; i < o.goroutines; i++ {
		go func() {
			ended <- remedy.background(func() {
				for unit := work(); ; atomic.AddInt64(&units, 1) {
					unit()
				}
			})
		}()
	}
	time.Sleep(warmUp)
	go func() {
		var failure error
		err := remedy.requests(func() { failure = answerRequests(o, request, &units, &bursts) })
		if err == nil {
			err = failure
		}
		ended <- err
	}()
	return <-ended
}

// answerRequests makes the requests and prints the result.
func answerRequests(o options, request func(o options) []time.Duration, units *int64, bursts *burstFigures) error {
	written, err := startRecords(&o)
	if err != nil {
		return err
	}
	progress := newProgress(units)
	record := o.after
	o.after = func(due time.Time, took time.Duration) {
		progress.sample()
		record(due, took)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	threads, group := readThreads(), readGroup()
	first, start := atomic.LoadInt64(units), time.Now()
	times := request(o)
	took, last := time.Since(start).Seconds(), atomic.LoadInt64(units)
	r := summary(times)
	r.groupFigures = groupSince(group, took)
	r.threadFigures = readThreads().since(threads, took)
	runtime.ReadMemStats(&after)
	if err := written(); err != nil {
		return err
	}
	r.Go = runtime.Version()
	r.Units = float64(last-first) / took
	r.Collections = float64(after.NumGC-before.NumGC) / took
	r.Spread = progress.deviation()
	r.PauseSD = pauseDeviation(before.NumGC, &after)
	r.burstFigures = *bursts
	return json.NewEncoder(os.Stdout).Encode(r)
}

// summary sorts the times and returns their quantiles.
func summary(times []time.Duration) result {
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return result{
		P50:  times[len(times)/2],
		P99:  times[len(times)*99/100],
		P999: times[len(times)*999/1000],
		Max:  times[len(times)-1],
	}
}
