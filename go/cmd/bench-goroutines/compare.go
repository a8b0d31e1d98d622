// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strconv"
	"text/tabwriter"
	"time"
)

const (
	compareRuns   = 5
	compareLength = 2 * time.Second
	// MiB, for some fifty collections a second on CPUs that are not emulated.
	compareLive = "16"
)

// Goals of "make bench-host": the plain runtime's latency is to be so many times that of the
// overlay.
const (
	goalP50 = 8
	goalP99 = 4
)

// compare prints how this program and one with the overlay answer requests beside a background.
func compare(overlaid string) error {
	plain, err := os.Executable()
	if err != nil {
		return err
	}
	cpus := runtime.NumCPU()
	goroutines := 2 * cpus
	fmt.Printf("A request of 200 us each 5 ms, beside %d goroutines on %d CPUs; %s, medians of %d runs of %v.\n"+
		"Plain is Go's runtime as it is; overlay has the goroutines lowered to %d. Neither uses go_sched in\n"+
		"the kernel.\n\n",
		goroutines, cpus, runtime.Version(), compareRuns, compareLength, low)
	if load := loadAverage(); load > 1 {
		fmt.Printf("This machine is busy with something else (load %.1f), which shows in all figures.\n\n", load)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "goroutines\truntime\tp50 ms\tp99 ms\tmax ms\ttheir work\tcollections/s\t")
	verdicts := ""
	for _, work := range []string{"compute", "allocate"} {
		var results [2]result
		var runs [2][]result
		for i := 0; i < compareRuns; i++ {
			for j, with := range [][]string{{plain, "nothing"}, {overlaid, "go_sched"}} {
				r, err := runOnce(with[0], "-remedy", with[1], "-work", work,
					"-goroutines", strconv.Itoa(goroutines), "-for", compareLength.String(),
					"-live", compareLive)
				if err != nil {
					return err
				}
				runs[j] = append(runs[j], r)
			}
		}
		for j, name := range []string{"plain", "overlay"} {
			r := medians(runs[j])
			results[j] = r
			fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.0f%%\t%.0f\t\n", work, name,
				milliseconds(r.P50), milliseconds(r.P99), milliseconds(r.Max),
				100*r.Units/results[0].Units, r.Collections)
		}
		verdicts += verdict(work, "p50", results[0].P50, results[1].P50, goalP50)
		verdicts += verdict(work, "p99", results[0].P99, results[1].P99, goalP99)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Print("\nLatency counts from when a request was due. Goals:\n" + verdicts)
	return nil
}

// loadAverage returns that of the last minute, 0 if it is not known.
func loadAverage() (load float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	return load
}

func runOnce(program string, arguments ...string) (r result, err error) {
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "GOSCHED_DEVICE=off")
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return r, fmt.Errorf("%s: %w", command, err)
	}
	return r, json.Unmarshal(output, &r)
}

// medians returns the median of each figure.
func medians(runs []result) result {
	of := func(figure func(r result) float64) float64 {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = figure(r)
		}
		sort.Float64s(values)
		return values[len(values)/2]
	}
	return result{
		P50:         time.Duration(of(func(r result) float64 { return float64(r.P50) })),
		P99:         time.Duration(of(func(r result) float64 { return float64(r.P99) })),
		Max:         time.Duration(of(func(r result) float64 { return float64(r.Max) })),
		Units:       of(func(r result) float64 { return r.Units }),
		Collections: of(func(r result) float64 { return r.Collections }),
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func verdict(work, quantile string, plain, overlaid time.Duration, goal float64) string {
	times, word := float64(plain)/float64(overlaid), "met"
	if times < goal {
		word = "missed"
	}
	return fmt.Sprintf("  %s beside %s: %.1fx lower, goal %.0fx: %s\n", quantile, work, times, goal, word)
}
