// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
)

// The cost of one change of the calling thread, by each interface. Inside the guest:
//
//	CGO_ENABLED=0 go test -c -o /tmp/overlay/gosched.test .
//	../qemu/run --icount 2 --overlay /tmp/overlay -- /gosched.test -test.run=- -test.bench=.

// alternate changes the priority back and forth on a thread of its own.
func alternate(b *testing.B, set func(Prio) error) {
	onThread(b, func() {
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			if err := set(benchPrios[i%2]); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
	})
}

// benchPrios are both fair, so that a change is the same for each interface.
var benchPrios = [2]Prio{24, 28}

// orNil keeps an error number of 0 from becoming an error.
func orNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func BenchmarkHintStore(b *testing.B) {
	s := open(b)
	onThread(b, func() {
		hint, err := s.Bind()
		must(b, err)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i++ {
			hint.Set(benchPrios[i%2])
		}
		b.StopTimer()
		must(b, hint.Unbind())
	})
}

func BenchmarkSet(b *testing.B) { alternate(b, open(b).SetCurrent) }

func BenchmarkDo(b *testing.B) {
	s := open(b)
	alternate(b, func(prio Prio) error { return s.Do(prio, func() {}) })
}

func BenchmarkGoSetSchedprio(b *testing.B) {
	open(b, SystemCall)
	alternate(b, func(prio Prio) error { return orNil(sys.SetSchedprio(0, uint32(prio), uint32(StartAtBase))) })
}

// BenchmarkSchedSetattr is the same change without go_sched. Raising takes privilege.
func BenchmarkSchedSetattr(b *testing.B) {
	if !hasSysNice() {
		b.Skip("raising a thread by sched_setattr(2) takes CAP_SYS_NICE")
	}
	base, errno := sys.GetAttr(0)
	if errno != 0 {
		b.Fatal(errno)
	}
	levels := map[Prio]sys.SchedAttr{}
	for _, prio := range benchPrios {
		levels[prio] = prio.attributes(base)
	}
	alternate(b, func(prio Prio) error { return orNil(sys.SetAttr(0, levels[prio])) })
}
