// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package tracefile

import (
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// fakeFlight is the runtime's part, which says when it has begun to write, and waits for its turn.
type fakeFlight struct {
	begun, goOn chan bool
	fails       error
	stopped     bool
}

func (s *fakeFlight) WriteTo(to io.Writer) (int64, error) {
	s.begun <- true
	<-s.goOn
	if s.fails != nil {
		return 0, s.fails
	}
	n, err := io.WriteString(to, "go 1.27 trace\x00\x00\x00")
	return int64(n), err
}

func (s *fakeFlight) Stop() { s.stopped = true }

func newFakeFlight(t *testing.T, pause time.Duration) (*FlightRecorder, *fakeFlight) {
	t.Helper()
	s := &fakeFlight{begun: make(chan bool), goOn: make(chan bool)}
	return &FlightRecorder{path: filepath.Join(t.TempDir(), "trace"), flight: s, pause: pause}, s
}

// miss misses a deadline.
func miss(r *FlightRecorder) { r.Check(time.Now().Add(-time.Hour), time.Minute) }

func expectStats(t *testing.T, r *FlightRecorder, missed, written uint64, fails error) {
	t.Helper()
	stats := r.Stats()
	if stats.Missed != missed || stats.Written != written || !errors.Is(stats.Err, fails) {
		t.Errorf("got %+v, want %d, %d, %v", stats, missed, written, fails)
	}
}

func TestAnyDeadlineThatIsMetIsNotCounted(t *testing.T) {
	r, s := newFakeFlight(t, 0)
	r.Check(time.Now(), time.Hour)
	r.Check(time.Now().Add(time.Hour), 0)
	r.Stop()
	expectStats(t, r, 0, 0, nil)
	expectFiles(t, filepath.Dir(r.path))
	if !s.stopped {
		t.Error("it goes on")
	}
}

func TestAnyFileIsWrittenOneAtATime(t *testing.T) {
	r, s := newFakeFlight(t, 0)
	miss(r)
	<-s.begun
	// None of these waits for the file.
	for i := 0; i < 3; i++ {
		miss(r)
	}
	expectStats(t, r, 4, 0, nil)
	s.goOn <- true
	r.writes.Wait()
	expectStats(t, r, 4, 1, nil)
	miss(r)
	<-s.begun
	s.goOn <- true
	r.Stop()
	expectStats(t, r, 5, 2, nil)
	expectFiles(t, filepath.Dir(r.path), "trace")
}

func TestAnyFileIsFollowedByAPause(t *testing.T) {
	r, s := newFakeFlight(t, time.Hour)
	var all sync.WaitGroup
	for i := 0; i < 20; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			miss(r)
		}()
	}
	<-s.begun
	s.goOn <- true
	all.Wait()
	r.writes.Wait()
	miss(r)
	r.Stop()
	expectStats(t, r, 21, 1, nil)
}

func TestAnyStopWaitsForTheFile(t *testing.T) {
	r, s := newFakeFlight(t, 0)
	miss(r)
	<-s.begun
	go func() { s.goOn <- true }()
	r.Stop()
	expectStats(t, r, 1, 1, nil)
	miss(r)
	r.Stop()
	expectStats(t, r, 1, 1, nil)
}

func TestAnyFileThatCannotBeWrittenIsSaid(t *testing.T) {
	r, s := newFakeFlight(t, 0)
	s.fails = errors.New("no room")
	miss(r)
	<-s.begun
	s.goOn <- true
	r.writes.Wait()
	expectStats(t, r, 1, 0, s.fails)
	expectFiles(t, filepath.Dir(r.path))
	s.fails = nil
	miss(r)
	<-s.begun
	s.goOn <- true
	r.Stop()
	expectStats(t, r, 2, 1, nil)
}

func TestAnyProgramGoesOnWithoutAFlightRecorder(t *testing.T) {
	for _, r := range []*FlightRecorder{nil, {}} {
		miss(r)
		r.Stop()
		r.Stop()
		if stats := r.Stats(); stats != (Stats{}) {
			t.Errorf("%+v", stats)
		}
	}
}

// BenchmarkCheck measures a deadline that is met.
func BenchmarkCheck(b *testing.B) {
	r := &FlightRecorder{}
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		func() { defer r.Check(time.Now(), time.Hour) }()
	}
}
