// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

// Package syscall does not define these.
const (
	sysSchedSetattr = 314
	sysSchedGetattr = 315
)
