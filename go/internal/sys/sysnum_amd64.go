// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

// Package syscall stops short of these.
const (
	sysSchedSetattr = 314
	sysSchedGetattr = 315
)
