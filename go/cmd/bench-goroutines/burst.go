// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// burstFigures are those of -request burst.
type burstFigures struct {
	// Times that a P's queue overflowed, for each burst.
	Overflows float64 `json:"overflows_per_burst"`
	// Goroutines that ran on another thread than the one that started them, in per cent.
	Elsewhere float64 `json:"elsewhere_percent"`
}

// newBursts returns what starts goroutines in bursts and returns the time from the start of
// each to its first instruction. Each computes a little.
func newBursts(figures *burstFigures) (requests func(o options) []time.Duration, err error) {
	overflows, err := countCalls("runtime.runqputslow")
	if err != nil {
		return nil, err
	}
	return func(o options) (times []time.Duration) {
		defer overflows.close()
		before := overflows.count()
		var elsewhere int64
		bursts := each(func() {
			delays := make([]time.Duration, o.burst)
			var ended sync.WaitGroup
			ended.Add(o.burst)
			thread := syscall.Gettid()
			for i := range delays {
				started, delay := time.Now(), &delays[i]
				go func() {
					*delay = time.Since(started)
					if syscall.Gettid() != thread {
						atomic.AddInt64(&elsewhere, 1)
					}
					spin()
					ended.Done()
				}()
			}
			ended.Wait()
			times = append(times, delays...)
		})(o)
		figures.Overflows = float64(overflows.count()-before) / float64(len(bursts))
		figures.Elsewhere = 100 * float64(elsewhere) / float64(len(times))
		return times
	}, nil
}

func spin() {
	x := 0
	for i := 0; i < 1000; i++ {
		x += i * x
	}
	if x == 1 {
		sink = x
	}
}
