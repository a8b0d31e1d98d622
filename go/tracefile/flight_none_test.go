// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && !go1.25

package tracefile

import (
	"path/filepath"
	"testing"

	"go_sched/gosched"
)

func TestAnyFlightRecorderTakesANewerGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	r, err := StartFlightRecorder(path, FlightOptions{})
	expectError(t, err, gosched.ErrUnsupported, "a flight recorder takes Go 1.25, and the program was built with go1.")
	if r != nil {
		t.Error("it has begun")
	}
	expectFiles(t, filepath.Dir(path))
}
