// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/trace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// threadFigures are those of the program's threads.
type threadFigures struct {
	// The mean time that a thread waited for a CPU until it ran.
	Wait float64 `json:"thread_wait_ns"`
	// Times that threads got a CPU, in a second.
	Runs float64 `json:"thread_runs_per_second"`
}

// threads are the sums over the program's threads that the kernel keeps.
type threads struct{ wait, runs float64 }

func readThreads() (sum threads) {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, file := range files {
		// A thread may have ended.
		text, _ := os.ReadFile(file)
		var ran, wait, runs float64
		if _, err := fmt.Sscan(string(text), &ran, &wait, &runs); err == nil {
			sum.wait += wait
			sum.runs += runs
		}
	}
	return sum
}

func (t threads) since(before threads, seconds float64) (f threadFigures) {
	runs := t.runs - before.runs
	if runs > 0 {
		f.Wait = (t.wait - before.wait) / runs
	}
	f.Runs = runs / seconds
	return f
}

// groupFigures are those of the program's control group, if its CPU time has a quota.
type groupFigures struct {
	// The CPU time used and the time throttled, in microseconds for each second.
	Used      float64 `json:"used_us_per_second"`
	Throttled float64 `json:"throttled_us_per_second"`
	// Periods in which the quota was used up, in a second.
	Periods float64 `json:"periods_throttled_per_second"`
}

// readGroup returns what cpu.stat says of the group. The root has none that is of use.
func readGroup() (stat map[string]float64) {
	membership, _ := os.ReadFile("/proc/self/cgroup")
	_, group, _ := strings.Cut(strings.TrimSpace(string(membership)), "0::/")
	if group == "" {
		return nil
	}
	text, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup", group, "cpu.stat"))
	stat = map[string]float64{}
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, " ")
		stat[key], _ = strconv.ParseFloat(value, 64)
	}
	return stat
}

// groupSince returns what the group did since then; nothing without a group.
func groupSince(before map[string]float64, seconds float64) *groupFigures {
	if before == nil {
		return nil
	}
	now := readGroup()
	of := func(key string) float64 { return (now[key] - before[key]) / seconds }
	return &groupFigures{of("usage_usec"), of("throttled_usec"), of("nr_throttled")}
}

// window is the time in which progress counts units.
const window = 100 * time.Millisecond

// progress is how the background gets on.
type progress struct {
	units *int64
	at    time.Time
	done  int64
	rates []float64
}

func newProgress(units *int64) *progress {
	return &progress{units: units, at: time.Now(), done: atomic.LoadInt64(units)}
}

// sample begins a new window if the last one is over.
func (p *progress) sample() {
	now, done := time.Now(), atomic.LoadInt64(p.units)
	if took := now.Sub(p.at); took >= window {
		p.rates = append(p.rates, float64(done-p.done)/took.Seconds())
		p.at, p.done = now, done
	}
}

// deviation returns the standard deviation in per cent of the mean, and 0 without any progress.
func (p *progress) deviation() float64 {
	mean, deviation := meanAndDeviation(p.rates)
	if mean == 0 {
		return 0
	}
	return 100 * deviation / mean
}

// pauseDeviation returns the standard deviation of the pauses of the collections after the first
// ones. The runtime keeps the last 256.
func pauseDeviation(first uint32, stats *runtime.MemStats) time.Duration {
	var pauses []float64
	kept := uint32(len(stats.PauseNs))
	for n := first + 1; n <= stats.NumGC; n++ {
		if n+kept > stats.NumGC {
			pauses = append(pauses, float64(stats.PauseNs[(n+kept-1)%kept]))
		}
	}
	_, deviation := meanAndDeviation(pauses)
	return time.Duration(deviation)
}

func meanAndDeviation(values []float64) (mean, deviation float64) {
	for _, value := range values {
		mean += value / float64(len(values))
	}
	for _, value := range values {
		deviation += (value - mean) * (value - mean) / float64(len(values))
	}
	return mean, math.Sqrt(deviation)
}

// startRecords begins the files that are asked for. written ends them.
func startRecords(o *options) (written func() error, err error) {
	o.after = func(time.Time, time.Duration) {}
	var files []func() error
	if o.trace != "" {
		f, err := os.Create(o.trace)
		if err != nil {
			return nil, err
		}
		if err := trace.Start(f); err != nil {
			return nil, err
		}
		files = append(files, func() error {
			trace.Stop()
			return f.Close()
		})
	}
	if o.latencies != "" {
		f, err := os.Create(o.latencies)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewWriter(f)
		fmt.Fprintln(lines, "start_ns,latency_ns")
		o.after = func(due time.Time, took time.Duration) {
			fmt.Fprintf(lines, "%d,%d\n", due.UnixNano(), took.Nanoseconds())
		}
		files = append(files, func() error {
			if err := lines.Flush(); err != nil {
				return err
			}
			return f.Close()
		})
	}
	return func() error {
		for _, end := range files {
			if err := end(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
