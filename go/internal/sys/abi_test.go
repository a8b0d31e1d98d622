// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

func header(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../uapi/go_sched.h")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// value computes what the right-hand side of a definition in the header stands for.
func value(t *testing.T, text string) uint64 {
	t.Helper()
	if request := regexp.MustCompile(`^_IO\(GO_SCHED_IOC_MAGIC, (.+)\)$`).FindStringSubmatch(text); request != nil {
		// As _IO() of linux/ioctl.h: no direction, no size.
		return iocMagic<<8 | value(t, request[1])
	}
	text = strings.Trim(text, "()")
	if shift := strings.Split(text, " << "); len(shift) == 2 {
		return value(t, shift[0]) << value(t, shift[1])
	}
	number, err := strconv.ParseInt(strings.TrimSuffix(text, "U"), 0, 64)
	if err != nil {
		t.Fatalf("the header has %q where this test expects a number: %v", text, err)
	}
	return uint64(number)
}

func TestConstantsAreThoseOfTheHeader(t *testing.T) {
	text := header(t)
	none := int64(prioNone)
	for name, ours := range map[string]uint64{
		"GO_SCHED_ABI_VERSION":      abiVersion,
		"GO_SCHED_LEVELS":           levels,
		"GO_SCHED_PRIO_NONE":        uint64(none),
		"GO_SCHED_INHERIT":          flagInherit,
		"GO_SCHED_CAUSE_FORK":       causeFork,
		"GO_SCHED_NR_SET_SCHEDPRIO": sysSetSchedprio,
		"GO_SCHED_SLOT_SIZE":        slotSize,
		"GO_SCHED_HINT_MAX_SIZE":    hintMaxSize,
		"GO_SCHED_HINT_NONE":        hintNone,
		"GO_SCHED_IOC_MAGIC":        iocMagic,
		"GO_SCHED_VERSION":          requestVersion,
		"GO_SCHED_SET":              requestSet,
		"GO_SCHED_GET":              requestGet,
		"GO_SCHED_CLEAR":            requestClear,
		"GO_SCHED_BIND":             requestBind,
		"GO_SCHED_UNBIND":           requestUnbind,
		"GO_SCHED_SET_SIZE_VER0":    uint64(unsafe.Sizeof(setArgument{})),
		"GO_SCHED_CLEAR_SIZE_VER0":  uint64(unsafe.Sizeof(clearArgument{})),
		"GO_SCHED_BIND_SIZE_VER0":   uint64(unsafe.Sizeof(bindArgument{})),
	} {
		definition := regexp.MustCompile(`(?m)^#define\s+` + name + `\s+(.+?)\s*(?:/\*.*)?$`)
		found := definition.FindStringSubmatch(text)
		if found == nil {
			t.Errorf("the header does not define %s", name)
		} else if theirs := value(t, found[1]); theirs != ours {
			t.Errorf("%s is %#x here, %#x in the header", name, ours, theirs)
		}
	}
}

func TestStructuresAreThoseOfTheHeader(t *testing.T) {
	text := header(t)
	var set setArgument
	var clear clearArgument
	var get getArgument
	var bind bindArgument
	for name, offsets := range map[string]map[string]uintptr{
		"go_sched_set": {
			"size": unsafe.Offsetof(set.size), "flags": unsafe.Offsetof(set.flags),
			"target": unsafe.Offsetof(set.target), "prio": unsafe.Offsetof(set.prio),
		},
		"go_sched_clear": {
			"size": unsafe.Offsetof(clear.size), "flags": unsafe.Offsetof(clear.flags),
			"target": unsafe.Offsetof(clear.target),
		},
		"go_sched_get": {
			"size": unsafe.Offsetof(get.size), "flags": unsafe.Offsetof(get.flags),
			"target": unsafe.Offsetof(get.target), "prio": unsafe.Offsetof(get.prio),
			"base_policy":      unsafe.Offsetof(get.basePolicy),
			"base_nice":        unsafe.Offsetof(get.baseNice),
			"base_rt_priority": unsafe.Offsetof(get.baseRTPriority),
			"base_slice_ns":    unsafe.Offsetof(get.baseSliceNS),
			"applied":          unsafe.Offsetof(get.applied),
			"ceiling":          unsafe.Offsetof(get.ceiling),
			"ceiling_granted":  unsafe.Offsetof(get.ceilingGranted),
			"slot":             unsafe.Offsetof(get.slot),
			"policy":           unsafe.Offsetof(get.policy),
			"nice":             unsafe.Offsetof(get.nice),
			"rt_priority":      unsafe.Offsetof(get.rtPriority),
			"slice_ns":         unsafe.Offsetof(get.sliceNS),
		},
		"go_sched_bind": {
			"size": unsafe.Offsetof(bind.size), "flags": unsafe.Offsetof(bind.flags),
			"slot": unsafe.Offsetof(bind.slot),
		},
		"go_sched_slot": {"wanted": slotWanted, "applied": slotApplied},
	} {
		body := regexp.MustCompile(`(?s)struct ` + name + ` \{(.*?)\};`).FindStringSubmatch(text)
		if body == nil {
			t.Errorf("the header does not declare struct %s", name)
			continue
		}
		// The structures have no holes: see the header's rule, and its sizes.
		sizes := map[string]uintptr{"u8": 1, "u32": 4, "s32": 4, "u64": 8}
		found, at := 0, uintptr(0)
		for _, member := range regexp.MustCompile(`__([us]\d+) (\w+)(?:\[(\d+)\])?;`).FindAllStringSubmatch(body[1], -1) {
			if ours, ok := offsets[member[2]]; ok {
				found++
				if ours != at {
					t.Errorf("%s.%s is at byte %d here, %d in the header", name, member[2], ours, at)
				}
			}
			count := uintptr(1)
			if member[3] != "" {
				count = uintptr(value(t, member[3]))
			}
			at += sizes[member[1]] * count
		}
		if found != len(offsets) {
			t.Errorf("struct %s has only %d of the members %v", name, found, offsets)
		}
	}
}
