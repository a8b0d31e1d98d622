// SPDX-License-Identifier: MIT OR GPL-2.0

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

// warmUp is the time before measuring, in which all goroutines begin.
const warmUp = 200 * time.Millisecond

// result is what is printed.
type result struct {
	Go  string        `json:"go"`
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
	// Units of the background's work, and collections of garbage.
	Units       float64 `json:"units_per_second"`
	Collections float64 `json:"collections_per_second"`
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
}

func main() {
	var o options
	flag.StringVar(&o.work, "work", "compute", "work of the background: compute, allocate, gzip")
	flag.IntVar(&o.goroutines, "goroutines", 4, "goroutines of the background")
	flag.StringVar(&o.remedy, "remedy", "nothing", "what is done for the requests: nothing, "+
		"\"more Ps\", SET, hint, SCHED_IDLE, \"chrt -r\", go_sched")
	flag.StringVar(&o.request, "request", "compute", "what a request does: compute, allocate, http, stop (the world)")
	flag.DurationVar(&o.every, "every", 5*time.Millisecond, "time from one request to the next")
	flag.DurationVar(&o.length, "for", 2*time.Second, "time that requests come for")
	flag.IntVar(&o.live, "live", 2, "MiB that -work allocate keeps reachable")
	flag.StringVar(&o.url, "url", "", "make HTTP requests there, and print the latency of each")
	cost := flag.String("cost", "", "measure instead the cost of: switch, gosched, go, program")
	lowered := flag.Bool("lowered", false, "with -cost: a goroutine is lowered; with -cost program, all are")
	compared := flag.String("compare", "", "compare with this program, which has the overlay")
	program.Parse("-goroutines and -live are not negative, and -for is no shorter than -every", func() bool {
		return o.goroutines >= 0 && o.live >= 0 && o.every > 0 && o.length >= o.every
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
	request, err := newRequest(o)
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
		ended <- remedy.requests(func() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			first, start := atomic.LoadInt64(&units), time.Now()
			times := request(o)
			took, last := time.Since(start).Seconds(), atomic.LoadInt64(&units)
			runtime.ReadMemStats(&after)
			r := summary(times)
			r.Go = runtime.Version()
			r.Units = float64(last-first) / took
			r.Collections = float64(after.NumGC-before.NumGC) / took
			_ = json.NewEncoder(os.Stdout).Encode(r)
		})
	}()
	return <-ended
}

// summary sorts the times and returns their quantiles.
func summary(times []time.Duration) result {
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return result{
		P50: times[len(times)/2],
		P99: times[len(times)*99/100],
		Max: times[len(times)-1],
	}
}
