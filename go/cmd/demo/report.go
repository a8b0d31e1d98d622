// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"
)

// latencies is the summary of samples, 0 without samples.
type latencies struct {
	Samples int     `json:"samples"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

func summarize(samples []time.Duration) latencies {
	n := len(samples)
	if n == 0 {
		return latencies{}
	}
	sorted := append([]time.Duration(nil), samples...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	// The nearest rank, which is always one of the samples.
	rank := func(percent int) float64 {
		return milliseconds(sorted[(percent*n+99)/100-1])
	}
	return latencies{n, rank(50), rank(99), rank(100)}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// state is how the kernel schedules a thread.
type state struct {
	GoPrio *int         `json:"go_priority"` // nil: none
	Kernel kernelParams `json:"kernel"`
}

// threadPhase is what was set for one thread in one phase, and what was measured.
type threadPhase struct {
	SetPrio int          `json:"set_priority"` // none: not set
	Mapped  kernelParams `json:"mapped"`       // What gosched maps that to, or the base.
	state
	CPU   float64   `json:"cpu_percent"`
	Wakes latencies `json:"wake"`
}

type threadReport struct {
	TID     int                 `json:"tid"`
	Role    string              `json:"role"`
	Base    state               `json:"base"` // Before any priority was set.
	Phases  [phases]threadPhase `json:"phases"`
	Cleared state               `json:"cleared"` // After the priorities were cleared.
}

type report struct {
	CPU          int               `json:"cpu"`
	PhaseSeconds float64           `json:"phase_seconds"`
	Threads      []threadReport    `json:"threads"`
	Requests     [phases]latencies `json:"requests"`
	Failures     []string          `json:"failures"`
	Verdict      string            `json:"verdict"`
}

// judge fills in the failures and the verdict. It compares what the kernel reports, and of
// the times only those that a busy machine does not reverse.
func (r *report) judge() {
	r.Failures = []string{}
	fail := func(format string, args ...any) {
		r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
	}
	cpu := make(map[string]float64)
	for _, t := range r.Threads {
		who := fmt.Sprintf("thread %d (%s)", t.TID, t.Role)
		for i, p := range t.Phases {
			if prioText(p.GoPrio) != prioText(&p.SetPrio) {
				fail("%s has Go priority %s in phase %q, %s was set",
					who, prioText(p.GoPrio), phaseNames[i], prioText(&p.SetPrio))
			}
			if !p.Kernel.satisfies(p.Mapped) {
				fail("%s, Go priority %s: the kernel reports %s, the mapping says %s",
					who, prioText(&p.SetPrio), p.Kernel.details(), p.Mapped.details())
			}
		}
		if t.Cleared.GoPrio != nil || t.Cleared.Kernel != t.Base.Kernel {
			fail("%s: after clear it has Go priority %s and %s, its base is %s", who,
				prioText(t.Cleared.GoPrio), t.Cleared.Kernel.details(), t.Base.Kernel.details())
		}
		cpu[t.Role] += t.Phases[after].CPU
	}
	if cpu[imitatedGC] > cpu["background"]/2 {
		fail("no visible effect: %s got %.1f%% of the CPU, background %.1f%%",
			imitatedGC, cpu[imitatedGC], cpu["background"])
	}
	b, a := r.Requests[before], r.Requests[after]
	change := fmt.Sprintf("request p99 %s, p50 %s", ratio(b.P99, a.P99), ratio(b.P50, a.P50))
	if a.P99 >= b.P99 && a.P50 >= b.P50 {
		fail("no visible effect: %s", change)
	}
	if len(r.Failures) > 0 {
		r.Verdict = "FAIL: " + strings.Join(r.Failures, "\n      ")
	} else {
		r.Verdict = "PASS: " + change + ";\n      the kernel reports every thread at its mapped policy"
	}
}

// ratio describes how a latency in milliseconds changed.
func ratio(from, to float64) string {
	word, times := "fell", from/to
	if to > from {
		word, times = "rose", to/from
	}
	return fmt.Sprintf("%s %.1fx (%s ms -> %s ms)", word, times, digits(from), digits(to))
}

const legend = `policy     in force, from "gosched get": nice N is SCHED_OTHER, RR N SCHED_RR, IDLE SCHED_IDLE
wake       from an event to the thread running: a request written (handler), a timer (the others)
latency    from the intended send time to the answer, so that queued requests count in full
Compare the two sides of an arrow only: milliseconds of another boot, or emulator, are others.`

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "All threads run on CPU %d; %d requests/s for %.0f s, without -> with Go priorities "+
		"(higher = more\nurgent). The load generator stands for clients elsewhere: always above all others.\n\n",
		r.CPU, requestRate, r.PhaseSeconds)
	fmt.Fprintf(out, "%7s %-13s  %-8s  %-18s  %-14s  %-14s  %s\n", "thread", "role",
		"Go prio", "policy", "CPU %", "wake p50, ms", "wake p99, ms")
	for _, t := range r.Threads {
		b, a := t.Phases[before], t.Phases[after]
		fmt.Fprintf(out, "%7d %-13s  %2s -> %-2s  %7s -> %-7s  %5.1f -> %-5.1f  %5s -> %-5s  %5s -> %s\n",
			t.TID, t.Role, prioText(b.GoPrio), prioText(a.GoPrio), b.Kernel, a.Kernel, b.CPU, a.CPU,
			digits(b.Wakes.P50), digits(a.Wakes.P50), digits(b.Wakes.P99), digits(a.Wakes.P99))
	}
	b, a := r.Requests[before], r.Requests[after]
	fmt.Fprintf(out, "\nrequest latency, ms:  p50 %s -> %s   p99 %s -> %s   max %s -> %s   (%d, %d requests)\n",
		digits(b.P50), digits(a.P50), digits(b.P99), digits(a.P99), digits(b.Max), digits(a.Max),
		b.Samples, a.Samples)
	fmt.Fprintf(out, "\n%s\n\n%s\n", legend, r.Verdict)
}

func prioText(prio *int) string {
	if prio == nil || *prio == none {
		return "-"
	}
	return strconv.Itoa(*prio)
}

// digits returns milliseconds in at most five columns up to 99999.
func digits(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 2, 64)
	case ms < 100:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 0, 64)
}
