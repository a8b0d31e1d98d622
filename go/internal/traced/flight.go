// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && go1.25

package main

import (
	"io"
	"runtime/trace"
	"time"
)

// recordFlight writes what a flight recorder has kept of the end of some work.
func recordFlight(to io.Writer, work func()) error {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: 50 * time.Millisecond})
	if err := recorder.Start(); err != nil {
		return err
	}
	defer recorder.Stop()
	work()
	_, err := recorder.WriteTo(to)
	return err
}
