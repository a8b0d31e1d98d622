// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

package main

// pause does nothing for some cycles, as a loop does that waits for another CPU.
//
// Where an emulator runs the CPUs in turn, on one of the host's, it takes this as the
// moment to go on with the next. Without it, QEMU before 8.1 stays for milliseconds with
// a CPU that counts its instructions, and what the other is to do in time comes late.
func pause()
