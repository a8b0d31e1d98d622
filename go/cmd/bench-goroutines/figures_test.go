// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"runtime"
	"testing"
	"time"
)

func TestTheDeviationOfPausesLeavesOutEarlierCollections(t *testing.T) {
	stats := runtime.MemStats{NumGC: 3}
	stats.PauseNs[0], stats.PauseNs[1], stats.PauseNs[2] = 1000, 10, 30
	if got := pauseDeviation(1, &stats); got != 10 {
		t.Errorf("the deviation of 10 and 30 ns is %d ns", got)
	}
	if got := pauseDeviation(3, &stats); got != 0 {
		t.Errorf("without a collection it is %d ns", got)
	}
}

func TestProgressOfOneWindowHasNoDeviation(t *testing.T) {
	units := int64(0)
	p := newProgress(&units)
	p.at = p.at.Add(-2 * window)
	units = 1000
	p.sample()
	p.sample()
	if len(p.rates) != 1 || p.deviation() != 0 {
		t.Errorf("rates %v, deviation %v", p.rates, p.deviation())
	}
	if p.at.After(time.Now()) {
		t.Error("the next window begins in the future")
	}
}

func TestThreadsThatDidNotRunDidNotWait(t *testing.T) {
	if f := (threads{}).since(threads{}, 1); f.Wait != 0 || f.Runs != 0 {
		t.Errorf("%+v", f)
	}
}
