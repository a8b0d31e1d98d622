// SPDX-License-Identifier: MIT OR GPL-2.0

// Package sys makes the system calls that package syscall does not have, and the requests
// to /dev/go_sched. No other package imports unsafe, but for tests, and gosched for go:linkname.
//
// A thread is named by its id; 0 is the calling thread. On other systems than Linux, all
// calls return ENOSYS.
package sys

// Constants of uapi/go_sched.h. abi_test.go compares each with the definition that its
// comment names.
const (
	ABIVersion     = 1                  // GO_SCHED_ABI_VERSION
	Levels         = 64                 // GO_SCHED_LEVELS
	PrioNone       = -1                 // GO_SCHED_PRIO_NONE
	Inherit        = 1 << 1             // GO_SCHED_INHERIT
	CauseFork      = 4                  // GO_SCHED_CAUSE_FORK
	SlotSize       = 64                 // GO_SCHED_SLOT_SIZE
	HintMaxSize    = 1 << 20            // GO_SCHED_HINT_MAX_SIZE
	HintNone       = 0xff               // GO_SCHED_HINT_NONE
	nrSetSchedprio = 400                // GO_SCHED_NR_SET_SCHEDPRIO
	iocMagic       = 0xBC               // GO_SCHED_IOC_MAGIC
	iocVersion     = iocMagic<<8 | 0x00 // GO_SCHED_VERSION
	iocSet         = iocMagic<<8 | 0x01 // GO_SCHED_SET
	iocGet         = iocMagic<<8 | 0x02 // GO_SCHED_GET
	iocClear       = iocMagic<<8 | 0x03 // GO_SCHED_CLEAR
	iocBind        = iocMagic<<8 | 0x05 // GO_SCHED_BIND
	iocUnbind      = iocMagic<<8 | 0x06 // GO_SCHED_UNBIND
	iocFollow      = iocMagic<<8 | 0x09 // GO_SCHED_FOLLOW
)

// setArgument is struct go_sched_set.
type setArgument struct {
	size, flags uint32
	target      int32
	prio        uint32
}

// clearArgument is struct go_sched_clear.
type clearArgument struct {
	size, flags uint32
	target      int32
}

// followArgument is struct go_sched_follow.
type followArgument struct {
	size, flags uint32
	target      int32
}

// GetAnswer is struct go_sched_get.
type GetAnswer struct {
	size           uint32
	Flags          uint32
	target         int32
	Prio           int32
	BasePolicy     uint32
	BaseNice       int32
	BaseRTPriority uint32
	_              uint32
	BaseSliceNS    uint64
	Applied        int32
	Ceiling        int32
	CeilingGranted uint32
	Slot           int32
	Policy         uint32
	Nice           int32
	RTPriority     uint32
	_              uint32
	SliceNS        uint64
}

// bindArgument is struct go_sched_bind.
type bindArgument struct {
	size, flags, slot uint32
}

// Slot is struct go_sched_slot.
type Slot struct {
	Wanted  uint8
	Applied uint8 // Written by the kernel alone.
	_       [62]uint8
}
