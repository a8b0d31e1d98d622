// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

// What uapi/go_sched.h defines, as far as this package uses it; abi_test.go compares
// the two.
const (
	abiVersion      = 1
	levels          = 64
	prioNone        = -1
	flagInherit     = 1 << 1
	causeFork       = 4 // The last cause of a thread that has inherited its priority.
	sysSetSchedprio = 400
	slotSize        = 64
	hintMaxSize     = 1 << 20
	hintNone        = 0xff
	iocMagic        = 0xBC
	requestVersion  = iocMagic<<8 | 0x00
	requestSet      = iocMagic<<8 | 0x01
	requestGet      = iocMagic<<8 | 0x02
	requestClear    = iocMagic<<8 | 0x03
	requestBind     = iocMagic<<8 | 0x05
	requestUnbind   = iocMagic<<8 | 0x06
)

// Where in a slot the two bytes are that are read and written here.
const (
	slotWanted  = 0
	slotApplied = 1
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

// getArgument is struct go_sched_get.
type getArgument struct {
	size, flags    uint32
	target, prio   int32
	basePolicy     uint32
	baseNice       int32
	baseRTPriority uint32
	_              uint32
	baseSliceNS    uint64
	applied        int32
	ceiling        int32
	ceilingGranted uint32
	slot           int32
	policy         uint32
	nice           int32
	rtPriority     uint32
	_              uint32
	sliceNS        uint64
}

// bindArgument is struct go_sched_bind.
type bindArgument struct {
	size, flags, slot uint32
}
