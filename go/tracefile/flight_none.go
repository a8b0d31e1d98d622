// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build !go1.25

package tracefile

import (
	"fmt"
	"runtime"

	"go_sched/gosched"
)

// startFlight fails, as this Go has no flight recorder.
func startFlight(FlightOptions) (flight, error) {
	return nil, fmt.Errorf("tracefile: a flight recorder takes Go 1.25, and the program was built with %s: %w",
		runtime.Version(), gosched.ErrUnsupported)
}
