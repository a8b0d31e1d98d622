// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

// pause executes PAUSE, which loops do that wait for another CPU.
//
// An emulator that runs the CPUs in turn, on one CPU of the host, takes PAUSE as the moment
// to run the next one. Without PAUSE, QEMU before 8.1 runs a CPU that counts instructions for
// milliseconds, and timers of the others are late.
func pause()
