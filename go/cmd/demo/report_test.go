// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// sample is a report of a run in which all went well.
func sample() *report {
	nice0 := kernelParams{Policy: "SCHED_OTHER", SliceNS: 2_800_000}
	thread := func(tid int, role string, prio int, mapped kernelParams, cpu, wake float64) threadReport {
		base := state{nil, nice0}
		return threadReport{tid, role, base, [phases]threadPhase{
			{none, nice0, base, 31.5, latencies{40, 12.25, 25, 25}},
			{prio, mapped, state{&prio, mapped}, cpu, latencies{40, wake, 2 * wake, 2 * wake}},
		}, base}
	}
	return &report{
		PhaseSeconds: 6,
		Threads: []threadReport{
			thread(71, "handler", 50, kernelParams{Policy: "SCHED_RR", RTPrio: 3}, 5, 0.25),
			thread(72, "background", 24, kernelParams{"SCHED_OTHER", 8, 0, 9_500_000}, 90, 8),
			thread(73, imitatedGC, 8, kernelParams{Policy: "SCHED_IDLE"}, 2, 1500),
		},
		Requests: [phases]latencies{{600, 10, 21.4, 123.4}, {600, 0.5, 0.56, 9}},
	}
}

func TestReportOfASuccess(t *testing.T) {
	r := sample()
	r.judge()
	var got bytes.Buffer
	r.print(&got)
	want, err := os.ReadFile("testdata/success.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", &got, want)
	}
	for _, line := range strings.Split(got.String(), "\n") {
		if len(line) > 100 {
			t.Errorf("wider than 100 columns: %s", line)
		}
	}
}

func TestVerdict(t *testing.T) {
	seven := 7
	for _, test := range []struct {
		name   string
		change func(*report)
		want   string // Part of the only failure; empty: there is none.
	}{
		{"all well", func(r *report) {}, ""},
		{"a slice is compared where one is mapped",
			func(r *report) { r.Threads[1].Phases[after].Kernel.SliceNS = 1 },
			"slice 1 ns, the mapping says SCHED_OTHER, nice 8, real-time priority 0, slice 9500000 ns"},
		{"the kernel's default slice is not compared",
			func(r *report) { r.Threads[2].Phases[after].Kernel.SliceNS = 1 }, ""},
		{"policy", func(r *report) { r.Threads[0].Phases[after].Kernel = r.Threads[0].Cleared.Kernel },
			"thread 71 (handler), Go priority 50: the kernel reports SCHED_OTHER, nice 0"},
		{"priority missing", func(r *report) { r.Threads[0].Phases[after].GoPrio = nil },
			`has Go priority - in phase "after", 50 was set`},
		{"priority before", func(r *report) { r.Threads[0].Phases[before].GoPrio = &seven },
			`has Go priority 7 in phase "before", - was set`},
		{"priority after clear", func(r *report) { r.Threads[2].Cleared.GoPrio = &seven },
			"after clear it has Go priority 7 and SCHED_OTHER"},
		{"policy after clear", func(r *report) { r.Threads[2].Cleared.Kernel.Policy = "SCHED_IDLE" },
			"after clear it has Go priority - and SCHED_IDLE"},
		{"gc as fast as background", func(r *report) { r.Threads[2].Phases[after].CPU = 60 },
			"gc (imitated) got 60.0% of the CPU, background 90.0%"},
		{"latency rose", func(r *report) { r.Requests[after] = latencies{600, 20, 42.8, 200} },
			"request p99 rose 2.0x (21.4 ms -> 42.8 ms), p50 rose 2.0x"},
		{"one stall", func(r *report) { r.Requests[after].P99 = 30 }, ""},
	} {
		r := sample()
		test.change(r)
		r.judge()
		switch {
		case test.want == "" && len(r.Failures) > 0,
			test.want != "" && (len(r.Failures) != 1 || !strings.Contains(r.Verdict, test.want)):
			t.Errorf("%s: got %q, want %q", test.name, r.Verdict, test.want)
		}
	}
}

func TestPercentilesAreSamplesOfNearestRank(t *testing.T) {
	var samples []time.Duration
	for i := 200; i > 0; i-- {
		samples = append(samples, time.Duration(i)*time.Millisecond)
	}
	if got, want := summarize(samples), (latencies{200, 100, 198, 200}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := summarize(samples[:1]), (latencies{1, 200, 200, 200}); got != want {
		t.Errorf("one sample: got %v, want %v", got, want)
	}
	if got := summarize(nil); got != (latencies{}) {
		t.Errorf("no samples: got %v", got)
	}
}

func TestArrivalsRepeatAndKeepTheRate(t *testing.T) {
	first, second := arrivals(0, time.Minute), arrivals(time.Hour, time.Minute)
	if n := len(first); n < 50*requestRate || n > 70*requestRate {
		t.Errorf("%d requests in a minute", n)
	}
	for i := range first {
		if second[i] != first[i]+time.Hour {
			t.Fatalf("request %d comes at %v, then at %v", i, first[i], second[i])
		}
	}
}
