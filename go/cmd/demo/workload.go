// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"go_sched/gosched/internal/sys"
)

const (
	// requestRate is the mean number of requests a second.
	requestRate = 100
	// serviceTime is the processor time of one request. At requestRate the
	// handlers need 2.5% of a CPU, or a few times that of an emulated one. That is
	// below their fair share, so they wait only for the scheduler's choice.
	serviceTime = 250 * time.Microsecond
	// burst is the processor time of a background thread between two naps.
	burst = 5 * time.Millisecond
	// nap is the time that it then sleeps, only to measure the wake-up.
	nap = time.Millisecond
)

// The phases of the comparison; outside them nothing is recorded.
const (
	before = iota
	after
	phases
	notRecording
)

// none stands in place of a Go priority for a thread without one.
const none = -1

// role is the work of some threads, and their Go priority in each phase.
type role struct {
	name    string
	prios   [phases]int
	threads int
	body    func(*workload, *thread)
}

var roles = []role{
	// It stands for clients on other machines, which compete for no CPU here,
	// and so has the highest priority in both phases.
	{"load gen", [phases]int{52, 52}, 1, (*workload).generate},
	{"handler", [phases]int{none, 50}, 2, (*workload).handle},
	{"background", [phases]int{none, 24}, 2, (*workload).compact},
	{imitatedGC, [phases]int{none, 8}, 1, (*workload).mark},
}

// imitatedGC is the role of a thread that does what a garbage collector does. The workers of
// Go's own have no thread of theirs.
const imitatedGC = "gc (imitated)"

// thread is a goroutine locked to its kernel thread. The samples are written by
// that thread alone and may be read once it has ended.
type thread struct {
	role      role
	tid       int
	wakes     [phases][]time.Duration // From the event to running.
	latencies [phases][]time.Duration // Handlers: from the intended send time to the answer.
}

// workload is a small server with its background work, all on one CPU.
type workload struct {
	threads  []*thread
	schedule chan []time.Duration // The send times of one phase.
	handled  atomic.Int64         // Requests answered.
	phase    atomic.Int32
	stopping atomic.Bool
	ended    chan struct{} // One message from each thread that ends.
	// The requests go through a pipe, where handlers wait in read(2) on threads
	// of their own. With a channel or the netpoller, a thread of the runtime
	// without a Go priority would wake them: its delay would be measured.
	reader, writer int
}

// startWorkload returns when all threads run, each with its role's name.
func startWorkload() (*workload, error) {
	w := &workload{schedule: make(chan []time.Duration), ended: make(chan struct{})}
	w.phase.Store(notRecording)
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	w.reader, w.writer = pipe[0], pipe[1]
	started := make(chan *thread)
	for _, r := range roles {
		for i := 0; i < r.threads; i++ {
			go func(r role) {
				runtime.LockOSThread()
				var name sys.ThreadName
				copy(name[:len(name)-1], r.name)
				sys.SetName(name)
				t := &thread{role: r, tid: syscall.Gettid()}
				started <- t
				r.body(w, t)
				w.ended <- struct{}{}
			}(r)
			w.threads = append(w.threads, <-started)
		}
	}
	return w, nil
}

// stop ends all threads, after which their samples may be read.
func (w *workload) stop() {
	w.stopping.Store(true)
	close(w.schedule)
	for range w.threads {
		<-w.ended
	}
}

// arrivals draws the send times of one phase. The fixed seed gives each phase
// the same load.
func arrivals(start, duration time.Duration) []time.Duration {
	random := rand.New(rand.NewSource(1))
	var times []time.Duration
	for at := 0.0; ; {
		at += random.ExpFloat64() / requestRate
		offset := time.Duration(at * float64(time.Second))
		if offset >= duration {
			return times
		}
		times = append(times, start+offset)
	}
}

func (w *workload) recordWake(t *thread, event time.Duration) {
	if p := w.phase.Load(); p != notRecording {
		t.wakes[p] = append(t.wakes[p], sys.Monotonic()-event)
	}
}

// request is written and read whole: all are of one size, below PIPE_BUF.
type request [16]byte

func (w *workload) generate(t *thread) {
	// The handlers end when they see the end of the pipe.
	defer syscall.Close(w.writer)
	var r request
	for times := range w.schedule {
		for _, at := range times {
			sys.SleepUntil(at)
			w.recordWake(t, at)
			binary.LittleEndian.PutUint64(r[:8], uint64(at))
			binary.LittleEndian.PutUint64(r[8:], uint64(sys.Monotonic()))
			if _, err := syscall.Write(w.writer, r[:]); err != nil {
				panic(err)
			}
		}
	}
}

func (w *workload) handle(t *thread) {
	var r request
	page := make([]byte, 1024)
	for {
		n, err := syscall.Read(w.reader, r[:])
		if err == syscall.EINTR {
			continue
		}
		if n != len(r) {
			return
		}
		w.recordWake(t, time.Duration(binary.LittleEndian.Uint64(r[8:])))
		for end := sys.CPUTime(t.tid) + serviceTime; sys.CPUTime(t.tid) < end; {
			sum := sha256.Sum256(page)
			copy(page, sum[:])
		}
		// From the intended time, so that a late load generator hides no latency.
		intended := time.Duration(binary.LittleEndian.Uint64(r[:8]))
		p := w.phase.Load()
		t.latencies[p] = append(t.latencies[p], sys.Monotonic()-intended)
		w.handled.Add(1)
	}
}

// burn repeats step, with a short sleep now and then.
func (w *workload) burn(t *thread, step func()) {
	for !w.stopping.Load() {
		for end := sys.CPUTime(t.tid) + burst; sys.CPUTime(t.tid) < end; {
			step()
		}
		expiry := sys.Monotonic() + nap
		sys.SleepUntil(expiry)
		w.recordWake(t, expiry)
	}
}

// compact compresses blocks, like the compaction of a database.
func (w *workload) compact(t *thread) {
	random := rand.New(rand.NewSource(1))
	block := make([]byte, 4096)
	for i := range block {
		block[i] = "acgt"[random.Intn(4)]
	}
	compressor, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	w.burn(t, func() {
		compressor.Reset(io.Discard)
		compressor.Write(block)
		compressor.Close()
	})
}

// mark links objects at random and follows the links from a root, like the
// mark phase of a garbage collector.
func (w *workload) mark(t *thread) {
	type object struct {
		links  [2]int32
		marked bool
	}
	random := rand.New(rand.NewSource(1))
	heap := make([]object, 4096)
	grey := make([]int32, 0, 2*len(heap))
	w.burn(t, func() {
		for i := range heap {
			heap[i] = object{links: [2]int32{random.Int31n(4096), random.Int31n(4096)}}
		}
		for grey = append(grey[:0], 0); len(grey) > 0; {
			o := &heap[grey[len(grey)-1]]
			grey = grey[:len(grey)-1]
			if !o.marked {
				o.marked = true
				grey = append(grey, o.links[0], o.links[1])
			}
		}
	})
}
