// SPDX-License-Identifier: MIT OR GPL-2.0

// Jitter measures how late the ticks of a periodic loop are while other goroutines take all
// CPUs: first of a loop that calls time.Sleep, then of RealtimeLoop at priority 50. It needs
// root, for the priority and to lock memory. In the guest, from this folder:
//
//	CGO_ENABLED=0 go build -o /tmp/overlay/jitter .
//	../../../qemu/run --icount 2 --overlay /tmp/overlay -- /jitter -duration 3s
//
// With --icount, time is counted in instructions, and a busy host has no effect. Only the
// two lines of one run compare.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"go_sched/gosched"
	"go_sched/gosched/internal/program"
)

const prio gosched.Prio = 50

func main() {
	period := flag.Duration("period", 5*time.Millisecond, "time between two ticks")
	duration := flag.Duration("duration", 10*time.Second, "length of each of the two measurements")
	load := flag.Int("load", 2*runtime.NumCPU(), "number of goroutines that compute meanwhile")
	program.Parse("-duration is at least -period", func() bool {
		return *period > 0 && *duration >= *period && *load >= 0
	})
	program.Fail(1, run(*period, *duration, *load))
}

func run(period, duration time.Duration, load int) error {
	// With a P for each goroutine that computes, and one for the loop, the kernel shares out
	// the CPUs, and not the Go runtime.
	runtime.GOMAXPROCS(runtime.NumCPU() + load + 1)
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.SchedSetattr)
	if err != nil {
		return err
	}
	defer scheduler.Close()
	role, err := scheduler.NewRole("loop", prio)
	if err != nil {
		return err
	}
	stop := compute(load)
	defer stop()

	ticks := int(duration / period)
	slept := sleeping(period, ticks)
	timed, err := realtime(role, period, ticks)
	if err != nil {
		return err
	}
	fmt.Printf("How late a tick is, by %v, %d goroutines computing on %d CPUs, a tick every %v:\n\n",
		scheduler.Backend(), load, runtime.NumCPU(), period)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "loop\tticks\tp50, ms\tp99, ms\tmax, ms\t")
	for _, each := range []struct {
		name string
		late []time.Duration
	}{{"time.Sleep", slept}, {fmt.Sprintf("RealtimeLoop at %v", prio), timed}} {
		sort.Slice(each.late, func(i, j int) bool { return each.late[i] < each.late[j] })
		// The nearest rank, which is always one of the samples.
		rank := func(percent int) float64 {
			return float64(each.late[(percent*len(each.late)+99)/100-1]) / float64(time.Millisecond)
		}
		fmt.Fprintf(table, "%s\t%d\t%.3f\t%.3f\t%.3f\t\n", each.name, len(each.late), rank(50), rank(99), rank(100))
	}
	return table.Flush()
}

// compute starts goroutines that compute until stop is called.
func compute(goroutines int) (stop func()) {
	var stopping atomic.Bool
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := uint64(1); !stopping.Load(); {
				for i := 0; i < 1000; i++ {
					n = n*6364136223846793005 + 1442695040888963407
				}
				runtime.KeepAlive(n)
			}
		}()
	}
	return func() {
		stopping.Store(true)
		all.Wait()
	}
}

// sleeping measures a loop that calls time.Sleep. Like RealtimeLoop it has fixed times, and
// makes up for none that has passed.
func sleeping(period time.Duration, ticks int) []time.Duration {
	late := make([]time.Duration, 0, ticks)
	due := time.Now()
	for len(late) < ticks {
		due = due.Add(period)
		if missed := time.Since(due) / period; missed > 0 {
			due = due.Add(missed * period)
		}
		time.Sleep(time.Until(due))
		late = append(late, time.Since(due))
	}
	return late
}

func realtime(role *gosched.Role, period time.Duration, ticks int) ([]time.Duration, error) {
	late := make([]time.Duration, 0, ticks)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := role.RealtimeLoop(ctx, gosched.Loop{Period: period}, func(tick gosched.Tick) {
		late = append(late, tick.Late)
		if len(late) == ticks {
			cancel()
		}
	})
	return late, err
}
