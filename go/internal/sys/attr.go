// SPDX-License-Identifier: MIT OR GPL-2.0

package sys

// ThreadName is what top(1) and perf(1) call a thread: up to 15 bytes, and a zero at the end.
type ThreadName [16]byte

// Policies of include/uapi/linux/sched.h.
const (
	SchedOther    = 0
	SchedFIFO     = 1
	SchedRR       = 2
	SchedBatch    = 3
	SchedIdle     = 5
	SchedDeadline = 6
)

// SchedAttr is the first version of struct sched_attr, see sched_setattr(2).
type SchedAttr struct {
	Size, Policy              uint32
	Flags                     uint64
	Nice                      int32
	RTPriority                uint32
	Runtime, Deadline, Period uint64 // In ns. Runtime is the slice of a fair thread.
}
