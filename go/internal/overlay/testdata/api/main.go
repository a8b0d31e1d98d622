// SPDX-License-Identifier: MIT OR GPL-2.0

// Command api checks what the package promises where the overlay is in force.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"go_sched/gosched"
)

func main() {
	procs := runtime.GOMAXPROCS(0)
	expect("no error", gosched.Overlay(), nil)
	expect("no priority at first", gosched.Goroutine(), gosched.None)

	expect("set returns what was before", set(8), gosched.None)
	expect("set sets", gosched.Goroutine(), gosched.Prio(8))
	expect("set returns what was set before", set(20), gosched.Prio(8))
	for p := gosched.Prio(0); p <= gosched.MaxPrio; p++ {
		set(p)
		expect("each priority is kept", gosched.Goroutine(), p)
	}

	// Starting others.
	set(20)
	apart(func() {
		expect("whoever is started inherits", gosched.Goroutine(), gosched.Prio(20))
		apart(func() { expect("so do its own", gosched.Goroutine(), gosched.Prio(20)) })
		set(40)
	})
	expect("whoever is started has its own", gosched.Goroutine(), gosched.Prio(20))
	done := make(chan gosched.Prio)
	for _, prio := range []gosched.Prio{24, gosched.None} {
		expect("no error", gosched.Go(prio, func() { done <- gosched.Goroutine() }), nil)
		expect("Go gives a priority", <-done, prio)
	}
	expect("Go leaves its caller alone", gosched.Goroutine(), gosched.Prio(20))
	time.AfterFunc(0, func() { done <- gosched.Goroutine() })
	expect("a timer's function has no priority", <-done, gosched.None)

	// What is refused.
	for _, prio := range []gosched.Prio{gosched.MaxPrio + 1, gosched.None - 1} {
		before, err := gosched.SetGoroutine(prio)
		expect("nothing is returned with an error", before, gosched.None)
		expect("an invalid priority is refused", err != nil, true)
		expect("an invalid priority is refused", gosched.Go(prio, func() { fail("it was started") }) != nil, true)
		expect("nothing has changed", gosched.Goroutine(), gosched.Prio(20))
	}
	expect("none is taken away", set(gosched.None), gosched.Prio(20))
	expect("none is left", gosched.Goroutine(), gosched.None)

	// GOMAXPROCS is the program's number.
	expect("GOMAXPROCS stays", runtime.GOMAXPROCS(0), procs)
	expectMetric(procs)
	expect("GOMAXPROCS returns what was before", runtime.GOMAXPROCS(3), procs)
	expect("GOMAXPROCS is what it was set to", runtime.GOMAXPROCS(5), 3)
	expectMetric(5)
	expect("GOMAXPROCS is what it was set to", runtime.GOMAXPROCS(procs), 5)
	fmt.Println("done")
}

func set(prio gosched.Prio) gosched.Prio {
	before, err := gosched.SetGoroutine(prio)
	expect("no error", err, nil)
	return before
}

// apart runs work in a goroutine.
func apart(work func()) {
	var w sync.WaitGroup
	w.Add(1)
	go func() {
		defer w.Done()
		work()
	}()
	w.Wait()
}

func expectMetric(procs int) {
	samples := []metrics.Sample{{Name: "/sched/gomaxprocs:threads"}}
	metrics.Read(samples)
	// Go 1.19 has no such metric.
	if samples[0].Value.Kind() != metrics.KindBad {
		expect("the metric is the same number", samples[0].Value.Uint64(), uint64(procs))
	}
}

func expect(what string, got, want any) {
	if got != want {
		fail(fmt.Sprintf("%s: got %v, want %v", what, got, want))
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
