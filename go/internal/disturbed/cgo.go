// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && cgo

package main

// Where cgo is enabled, the program is one that the system's linker links, with another place
// for the pointer to the goroutine of a thread.

import "C"
