// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && !go1.25

package main

import (
	"errors"
	"io"
)

// recordFlight fails, as this Go has no flight recorder.
func recordFlight(io.Writer, func()) error {
	return errors.New("-flight needs Go 1.25")
}
