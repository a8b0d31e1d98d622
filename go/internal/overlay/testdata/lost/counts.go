// SPDX-License-Identifier: MIT OR GPL-2.0

package main

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"unsafe"
)

// counts returns where the runtime has its counts of Ps and of goroutines that wait, by the
// program's own debugging information.
func counts() (running, queued *uint32) {
	file, err := elf.Open("/proc/self/exe")
	check(err)
	defer file.Close()
	data, err := file.DWARF()
	check(err)
	for r := data.Reader(); ; {
		entry, err := r.Next()
		check(err)
		if entry == nil {
			panic("the program has no runtime.gprio")
		}
		if entry.Tag != dwarf.TagVariable || entry.Val(dwarf.AttrName) != "runtime.gprio" {
			continue
		}
		location := entry.Val(dwarf.AttrLocation).([]byte)
		kind, err := data.Type(entry.Val(dwarf.AttrType).(dwarf.Offset))
		check(err)
		at := uintptr(binary.LittleEndian.Uint64(location[1:])) // After DW_OP_addr.
		return field(kind, at, "running"), field(kind, at, "queued")
	}
}

func field(kind dwarf.Type, at uintptr, name string) *uint32 {
	for _, f := range kind.(*dwarf.StructType).Field {
		if f.Name == name {
			at += uintptr(f.ByteOffset)
			return *(**uint32)(unsafe.Pointer(&at))
		}
	}
	panic(fmt.Sprintf("runtime.gprio has no %s", name))
}
