// SPDX-License-Identifier: MIT OR GPL-2.0

package tracefile

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// pause is the least time from one file to the next: a program that misses all its deadlines
// shall not be slower for it, and what it has cost is still seen.
const pause = time.Minute

// FlightRecorder keeps the last seconds of the trace of Go's runtime in memory, and writes them to
// a file when a deadline was missed. It takes Go 1.25.
//
// Several goroutines may use it at once. A FlightRecorder that is nil or zero does nothing: a
// program that has none goes on without.
type FlightRecorder struct {
	path   string
	flight flight
	pause  time.Duration

	writes sync.WaitGroup
	mutex  sync.Mutex
	// What follows is read and written with mutex held.
	stats   Stats
	began   time.Time // The last file, or zero.
	writing bool
	stopped bool
}

// flight is a FlightRecorder of runtime/trace.
type flight interface {
	WriteTo(to io.Writer) (int64, error)
	Stop()
}

// FlightOptions says what a FlightRecorder keeps.
type FlightOptions struct {
	// MinAge is the time that is kept at least, unless that takes more than MaxBytes. 0 stands
	// for 10 s.
	MinAge time.Duration
	// MaxBytes is about the most that is kept; what Go's runtime writes in a second may come on
	// top. 0 stands for 10 MiB, which a busy program fills in a few seconds.
	MaxBytes uint64
}

// Stats is what a FlightRecorder has done.
type Stats struct {
	// Missed is the number of deadlines that were missed.
	Missed uint64
	// Written is the number of files that were written. Each has replaced the one before.
	Written uint64
	// Err is why the last file could not be written, or nil if it was.
	Err error
}

// StartFlightRecorder begins to keep what the program does. path is the file that is written when
// a deadline was missed, as Start writes it.
//
// It fails before Go 1.25, with an error that matches gosched.ErrUnsupported; if there is a flight
// recorder already; or if no file can be written at path. The program can go on with the nil that
// it returns then.
func StartFlightRecorder(path string, options FlightOptions) (*FlightRecorder, error) {
	// A path that is wrong shall not be found out when the first deadline is missed.
	file, err := create(path)
	if err != nil {
		return nil, err
	}
	file.discard()
	flight, err := startFlight(options)
	if err != nil {
		return nil, err
	}
	return &FlightRecorder{path: file.path, flight: flight, pause: pause}, nil
}

// Check writes the file if more than limit has passed since start:
//
//	defer recorder.Check(time.Now(), 200*time.Millisecond)
//
// is the first line of a function that shall take no longer. With the deadline of a context as
// start, limit is 0. Check itself does not wait for the file. It costs two readings of the clock
// if the deadline is met.
//
// The file is of the last seconds up to then, and replaces the one before. There is none while
// another is written, or was begun less than a minute ago; Stats counts such a deadline all the
// same.
func (r *FlightRecorder) Check(start time.Time, limit time.Duration) {
	if r != nil && time.Since(start) > limit {
		r.missed()
	}
}

func (r *FlightRecorder) missed() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.flight == nil || r.stopped {
		return
	}
	r.stats.Missed++
	now := time.Now()
	if r.writing || !r.began.IsZero() && now.Sub(r.began) < r.pause {
		return
	}
	r.writing, r.began = true, now
	r.writes.Add(1)
	go r.write()
}

// write writes the file, and says so in the statistics.
func (r *FlightRecorder) write() {
	defer r.writes.Done()
	err := r.writeFile()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.writing, r.stats.Err = false, err
	if err == nil {
		r.stats.Written++
	}
}

func (r *FlightRecorder) writeFile() error {
	file, err := create(r.path)
	if err != nil {
		return err
	}
	if _, err := r.flight.WriteTo(file); err != nil {
		file.discard()
		return fmt.Errorf("tracefile: the trace is not at %s: %w", r.path, err)
	}
	return file.finish()
}

// Stats returns what the recorder has done so far.
func (r *FlightRecorder) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.stats
}

// Stop waits until a file that is being written is whole, and ends the recorder. It counts no
// deadlines any more, and Stats tells what it has done until then.
func (r *FlightRecorder) Stop() {
	if r == nil || r.flight == nil {
		return
	}
	r.mutex.Lock()
	stopped := r.stopped
	r.stopped = true
	r.mutex.Unlock()
	r.writes.Wait()
	if !stopped {
		r.flight.Stop()
	}
}
