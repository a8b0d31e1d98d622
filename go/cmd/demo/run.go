// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"go_sched/gosched"
	"go_sched/gosched/internal/sys"
)

var phaseNames = [phases]string{"before", "after"}

// run puts the workload under load in both phases, and reports what each thread got.
func run(duration time.Duration) (*report, error) {
	cpu, err := pinProcess()
	if err != nil {
		return nil, err
	}
	// A thread that blocks in the kernel gives up its P. With more Ps than
	// threads it finds an idle one on return.
	runtime.GOMAXPROCS(16)
	// A collection stops all goroutines, and so waits for the least urgent
	// thread. The workload allocates next to nothing.
	debug.SetGCPercent(-1)

	table, err := mapping()
	if err != nil {
		return nil, err
	}
	scheduler, err := gosched.Open()
	if err != nil {
		return nil, err
	}
	defer scheduler.Close()
	w, err := startWorkload()
	if err != nil {
		return nil, err
	}
	r := &report{CPU: cpu, PhaseSeconds: duration.Seconds()}
	for _, t := range w.threads {
		r.Threads = append(r.Threads, threadReport{TID: t.tid, Role: t.role.name})
	}
	bases, err := r.readStates(scheduler)
	if err != nil {
		return nil, err
	}
	for phase := range phaseNames {
		for i, t := range w.threads {
			p := &r.Threads[i].Phases[phase]
			r.Threads[i].Base = bases[i]
			p.SetPrio, p.Mapped = t.role.prios[phase], bases[i].Kernel
			if p.SetPrio == none {
				continue
			}
			p.Mapped = table[p.SetPrio]
			if err := scheduler.Set(t.tid, gosched.Prio(p.SetPrio), gosched.StartAtBase); err != nil {
				return nil, err
			}
		}
		if err := r.runPhase(scheduler, w, phase, duration); err != nil {
			return nil, err
		}
	}
	for _, t := range w.threads {
		if err := scheduler.Clear(t.tid); err != nil {
			return nil, err
		}
	}
	cleared, err := r.readStates(scheduler)
	if err != nil {
		return nil, err
	}
	w.stop()
	for i := range cleared {
		r.Threads[i].Cleared = cleared[i]
	}
	r.summarize(w.threads)
	r.judge()
	return r, nil
}

// runPhase puts the workload under load and records what each thread got.
func (r *report) runPhase(scheduler *gosched.Scheduler, w *workload, phase int, duration time.Duration) error {
	start := sys.Monotonic()
	used := make([]time.Duration, len(w.threads))
	for i, t := range w.threads {
		used[i] = sys.CPUTime(t.tid)
	}
	times := arrivals(start, duration)
	goal := w.handled.Load() + int64(len(times))
	w.phase.Store(int32(phase))
	w.schedule <- times
	// Lines without cursor movement, as the guest's stderr is not a terminal.
	nextReport := start
	// Requests that are not answered when the time is up belong to the phase.
	for sys.Monotonic() < start+duration || w.handled.Load() < goal {
		elapsed := sys.Monotonic() - start
		if sys.Monotonic() >= nextReport {
			fmt.Fprintf(os.Stderr, "Phase %q: %.0f of %.0f s\n", phaseNames[phase], elapsed.Seconds(), duration.Seconds())
			nextReport += 2 * time.Second
		}
		if elapsed > 5*duration {
			return errors.New("the requests take far longer than the phase: " +
				"try again when this machine is less busy")
		}
		time.Sleep(250 * time.Millisecond)
	}
	w.phase.Store(notRecording)
	elapsed := sys.Monotonic() - start
	for i, t := range w.threads {
		r.Threads[i].Phases[phase].CPU = 100 * float64(sys.CPUTime(t.tid)-used[i]) / float64(elapsed)
	}
	states, err := r.readStates(scheduler)
	for i, s := range states {
		r.Threads[i].Phases[phase].state = s
	}
	return err
}

// readStates returns the state of each thread, in the order of the report.
func (r *report) readStates(scheduler *gosched.Scheduler) ([]state, error) {
	var tids []int
	for _, t := range r.Threads {
		tids = append(tids, t.TID)
	}
	params, err := inForce(tids)
	if err != nil {
		return nil, err
	}
	var states []state
	for i, tid := range tids {
		known, err := scheduler.Get(tid)
		if err != nil {
			return nil, err
		}
		s := state{Kernel: params[i]}
		if known.Prio != gosched.None {
			prio := int(known.Prio)
			s.GoPrio = &prio
		}
		states = append(states, s)
	}
	return states, nil
}

// summarize reads the samples of threads that have ended.
func (r *report) summarize(threads []*thread) {
	for phase := range r.Requests {
		var all []time.Duration
		for i, t := range threads {
			r.Threads[i].Phases[phase].Wakes = summarize(t.wakes[phase])
			all = append(all, t.latencies[phase]...)
		}
		r.Requests[phase] = summarize(all)
	}
}
