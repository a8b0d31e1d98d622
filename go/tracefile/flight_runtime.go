// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build go1.25

package tracefile

import (
	"fmt"
	"runtime/trace"
)

// startFlight begins to keep what the program does.
func startFlight(options FlightOptions) (flight, error) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{
		MinAge:   options.MinAge,
		MaxBytes: options.MaxBytes,
	})
	if err := recorder.Start(); err != nil {
		return nil, fmt.Errorf("tracefile: cannot begin a flight recorder: %w", err)
	}
	return recorder, nil
}
