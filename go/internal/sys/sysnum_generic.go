// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && (arm64 || loong64 || riscv64)

package sys

// The same on all architectures that start from include/uapi/asm-generic/unistd.h.
const (
	sysSchedSetattr = 274
	sysSchedGetattr = 275
)
