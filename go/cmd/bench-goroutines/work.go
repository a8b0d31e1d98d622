// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand"
	"runtime/debug"
	"syscall"
)

// newWork returns what a goroutine of the background calls for a unit of its work.
func newWork(o options) (work func() (unit func()), err error) {
	switch o.work {
	case "compute":
		return compute, nil
	case "allocate":
		// Of twenty per cent, there is a collection soon after the other one.
		debug.SetGCPercent(20)
		objects := o.live << 20 / objectSize
		if o.goroutines > 0 {
			objects /= o.goroutines
		}
		return func() func() { return allocate(objects) }, nil
	case "gzip":
		return compress, nil
	case "read":
		return readForEver, nil
	}
	return nil, fmt.Errorf("unknown work %q", o.work)
}

// sink keeps the compiler from leaving work out.
var sink int

func compute() func() {
	x := 0
	return func() {
		for i := 0; i < 10000; i++ {
			x += i * x
		}
		if x == 1 {
			sink = x
		}
	}
}

// objectSize is the size of what allocate allocates, in bytes.
const objectSize = 4096

// allocate keeps some objects reachable, which it replaces one after the other.
func allocate(objects int) func() {
	kept := make([][]byte, objects+1)
	next := 0
	return func() {
		b := make([]byte, objectSize)
		for i := range b {
			b[i] = byte(i)
		}
		kept[next] = b
		next = (next + 1) % len(kept)
	}
}

// compress allocates what a gzip.Writer needs for each unit, as careless programs do.
func compress() func() {
	source := make([]byte, 64<<10)
	rand.New(rand.NewSource(1)).Read(source[:32<<10])
	return func() {
		w := gzip.NewWriter(io.Discard)
		_, _ = w.Write(source)
		_ = w.Close()
	}
}

// readForEver returns what waits in read(2), which the runtime does not know to block.
func readForEver() func() {
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	return func() { _, _ = syscall.Read(pipe[0], make([]byte, 1)) }
}
