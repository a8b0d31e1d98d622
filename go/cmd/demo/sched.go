// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && amd64

package main

import (
	"fmt"
	"math/bits"
	"os"
	"strings"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// kernelParams are the scheduling parameters in force for a thread.
type kernelParams struct {
	Policy  string `json:"policy"`
	Nice    int32  `json:"nice"`        // -20 to 19
	RTPrio  uint32 `json:"rt_priority"` // 1 to 99; 0 outside the real-time policies.
	SliceNS uint64 `json:"slice_ns"`    // EEVDF slice; 0 outside the fair policies.
}

// String returns the short form for the table, without the slice.
func (k kernelParams) String() string {
	if k.Policy == "SCHED_OTHER" {
		return fmt.Sprintf("nice %d", k.Nice)
	}
	name := strings.TrimPrefix(k.Policy, "SCHED_")
	if k.RTPrio > 0 {
		return fmt.Sprintf("%s %d", name, k.RTPrio)
	}
	return name
}

// details returns all parameters.
func (k kernelParams) details() string {
	return fmt.Sprintf("%s, nice %d, real-time priority %d, slice %d ns",
		k.Policy, k.Nice, k.RTPrio, k.SliceNS)
}

// satisfies tells whether k is what the mapping wants. A slice of 0 stands for the
// kernel's default, and is not compared.
func (k kernelParams) satisfies(want kernelParams) bool {
	if want.SliceNS == 0 {
		k.SliceNS = 0
	}
	return k == want
}

// pinProcess confines the program to its first CPU, and returns the number of that CPU.
// The runtime has threads before main starts, so the program executes itself
// once more: all threads of the new image inherit the affinity of this one.
func pinProcess() (int, error) {
	var allowed, first sys.CPUSet
	if err := sys.GetAffinity(&allowed); err != nil {
		return 0, err
	}
	for i, word := range allowed {
		if word == 0 {
			continue
		}
		first[i] = word & -word
		if first == allowed {
			return 64*i + bits.TrailingZeros64(word), nil
		}
		break
	}
	if err := sys.SetAffinity(&first); err != nil {
		return 0, err
	}
	return 0, os.NewSyscallError("execve", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}
