// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"go_sched/gosched/internal/sys"
)

// requestTime is the time that a request takes on a CPU of its own.
const requestTime = 200 * time.Microsecond

// newRequest returns what makes requests and returns the latency of each.
func newRequest(o options, bursts *burstFigures) (requests func(o options) []time.Duration, err error) {
	switch o.request {
	case "nothing":
		return each(func() {}), nil
	case "nanosleep":
		return nanosleeps, nil
	case "burst":
		return newBursts(bursts)
	case "compute":
		return each(func() { repeat(func() {}) }), nil
	case "allocate":
		unit := allocate(16)
		return each(func() { repeat(unit) }), nil
	case "stop":
		return stops, nil
	case "http":
		return startServer()
	}
	return nil, fmt.Errorf("unknown request %q", o.request)
}

// repeat works for the time that a request takes.
func repeat(unit func()) {
	for start := time.Now(); time.Since(start) < requestTime; {
		unit()
	}
}

// each returns what makes requests at fixed times. A request that is due while another one is
// served is late, and so are those that follow: latency counts from when a request was due.
func each(serve func()) func(o options) []time.Duration {
	return func(o options) []time.Duration {
		times := make([]time.Duration, o.length/o.every)
		start := time.Now()
		for i := range times {
			due := start.Add(time.Duration(i) * o.every)
			time.Sleep(time.Until(due))
			serve()
			times[i] = time.Since(due)
			if o.after != nil {
				o.after(due, times[i])
			}
		}
		return times
	}
}

// nanosleeps returns how late the calling thread wakes up from clock_nanosleep(2), which the
// runtime has no part in.
func nanosleeps(o options) []time.Duration {
	times := make([]time.Duration, o.length/o.every)
	due := sys.Monotonic()
	for i := range times {
		due += o.every
		sys.SleepUntil(due)
		times[i] = sys.Monotonic() - due
		// What was due meanwhile is not due any more.
		if times[i] > o.every {
			due = sys.Monotonic()
		}
	}
	return times
}

// stops returns the times of calls that stop the world, without the wait for a P before.
func stops(o options) (times []time.Duration) {
	for begin := time.Now(); len(times) == 0 || time.Since(begin) < o.length; {
		time.Sleep(o.every)
		var stats runtime.MemStats
		start := time.Now()
		runtime.ReadMemStats(&stats)
		times = append(times, time.Since(start))
	}
	return times
}

// startServer starts a server of net/http. The requests come from a process of its own.
func startServer() (requests func(o options) []time.Duration, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		repeat(func() {})
		_, _ = io.WriteString(w, "answer")
	})}
	go func() { panic(server.Serve(listener)) }()
	return func(o options) (times []time.Duration) {
		client := exec.Command(os.Args[0], "-every", o.every.String(), "-for", o.length.String(),
			"-url", "http://"+listener.Addr().String())
		client.Stderr = os.Stderr
		output, err := client.Output()
		if err == nil {
			err = json.Unmarshal(output, &times)
		}
		if err != nil {
			panic(err)
		}
		return times
	}, nil
}

// printRequests is what the process does that makes the requests.
func printRequests(o options) (err error) {
	times := each(func() {
		response, failure := http.Get(o.url)
		if failure != nil {
			err = failure
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	})(o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(times)
}
