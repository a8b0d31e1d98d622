// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"go_sched/gosched"
)

// A cost is the median of so many samples.
const costSamples = 301

// measureCost prints the time that an operation takes.
func measureCost(name string, lowered bool) error {
	debug.SetGCPercent(-1)
	if lowered {
		// The runtime does more from the first lowered goroutine on.
		before, err := gosched.SetGoroutine(low)
		if err != nil {
			return err
		}
		if name != "program" {
			_, _ = gosched.SetGoroutine(before)
		}
	}
	samples := costSamples
	var batch int
	var sample func()
	switch name {
	case "switch":
		batch = 16
		sample = switches(batch)
	case "gosched":
		batch = 16
		go func() {
			for {
				runtime.Gosched()
			}
		}()
		sample = func() {
			for i := 0; i < batch; i++ {
				runtime.Gosched()
			}
		}
		batch *= 2 // The other goroutine yields as often.
	case "go":
		batch = 16
		sample = func() {
			var ended sync.WaitGroup
			for i := 0; i < batch; i++ {
				ended.Add(1)
				go ended.Done()
				ended.Wait()
			}
		}
	case "program":
		samples, batch = 15, 1
		debug.SetGCPercent(20)
		sample = pipeline
	default:
		return fmt.Errorf("unknown cost %q", name)
	}
	for start := time.Now(); time.Since(start) < 5*time.Millisecond; {
		sample()
	}
	empty := median(costSamples, func() {})
	took := median(samples, sample) - empty
	return json.NewEncoder(os.Stdout).Encode(struct {
		Go   string  `json:"go"`
		Cost float64 `json:"cost_ns"`
	}{runtime.Version(), float64(took) / float64(batch)})
}

// median returns the median of the times that samples take.
func median(samples int, sample func()) time.Duration {
	times := make([]time.Duration, samples)
	for i := range times {
		start := time.Now()
		sample()
		times[i] = time.Since(start)
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return times[samples/2]
}

// switches returns what switches to another goroutine and back, by channels without buffers,
// until there were so many switches.
func switches(count int) func() {
	to, from := make(chan struct{}), make(chan struct{})
	go func() {
		for range to {
			from <- struct{}{}
		}
	}()
	return func() {
		for i := 0; i < count; i += 2 {
			to <- struct{}{}
			<-from
		}
	}
}

// pipeline is a program that ends: four goroutines compute and allocate, and others hand out the
// work and take the results.
func pipeline() {
	const jobs = 200
	todo, done := make(chan int), make(chan int, 16)
	for i := 0; i < 4; i++ {
		go func() {
			unit, garbage := compute(), allocate(64)
			for job := range todo {
				unit()
				garbage()
				done <- job
			}
		}()
	}
	go func() {
		for i := 0; i < jobs; i++ {
			todo <- i
		}
		close(todo)
	}()
	for i := 0; i < jobs; i++ {
		<-done
	}
}
