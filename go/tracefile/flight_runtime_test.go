// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && go1.25

package tracefile

import (
	"path/filepath"
	"testing"
)

func TestAnyMissedDeadlineIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	r, err := StartFlightRecorder(path, FlightOptions{})
	must(t, err)
	expectFiles(t, filepath.Dir(path))
	miss(r)
	r.Stop()
	expectStats(t, r, 1, 1, nil)
	expectTrace(t, path)
}

// The program may be traced by others, too.
func TestAnyFlightRecorderIsBesideATrace(t *testing.T) {
	whole, last := filepath.Join(t.TempDir(), "trace"), filepath.Join(t.TempDir(), "trace")
	stop, err := Start(whole)
	must(t, err)
	r, err := StartFlightRecorder(last, FlightOptions{})
	must(t, err)
	miss(r)
	r.writes.Wait()
	must(t, stop())
	r.Stop()
	expectTrace(t, whole)
	expectTrace(t, last)
}

func TestAnyFlightRecorderIsRefusedWhileThereIsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	r, err := StartFlightRecorder(path, FlightOptions{})
	must(t, err)
	defer r.Stop()
	other, err := StartFlightRecorder(path, FlightOptions{})
	expectError(t, err, nil, "cannot begin a flight recorder: ")
	if other != nil {
		t.Error("it has begun")
	}
	_, err = StartFlightRecorder("/dev/null", FlightOptions{})
	expectError(t, err, nil, "is no ordinary file")
}
