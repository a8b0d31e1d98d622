// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"os"

	"go_sched/gosched/internal/sys"
)

// The mapping of policy/mod.rs, with which schedattr_test.go compares.
const (
	fairFirst Prio = 16 // The lowest priorities of the fair and the rt band.
	rtFirst   Prio = 48
	niceZero  Prio = 32
	// The slice at fairFirst, in nanoseconds, and its fall by level, in thousandths.
	sliceFirst, sliceStep uint64 = 30_000_000, 866
)

// nice returns the nice value of a fair priority.
func (p Prio) nice() int32 { return int32(niceZero) - int32(p) }

// attributes returns what comes nearest to p in a thread that has base now. The flags stay,
// and so does the nice value if p is not in the fair band.
func (p Prio) attributes(base sys.SchedAttr) sys.SchedAttr {
	a := base
	a.RTPriority, a.Runtime, a.Deadline, a.Period = 0, 0, 0, 0
	switch {
	case p < fairFirst:
		a.Policy = sys.SchedIdle
	case p < rtFirst:
		a.Policy, a.Nice = sys.SchedOther, p.nice()
		a.Runtime = sliceFirst
		for level := fairFirst; level < p; level++ {
			a.Runtime = a.Runtime * sliceStep / 1000
		}
	default:
		a.Policy, a.RTPriority = sys.SchedRR, uint32(p-rtFirst)+1
	}
	return a
}

// matches tells whether a thread with these attributes is at p. The slice is not compared,
// as kernels before 6.12 do not tell it.
func (p Prio) matches(a sys.SchedAttr) bool {
	want := p.attributes(a)
	want.Runtime = a.Runtime
	return a == want
}

const (
	rlimitNice   = 13
	rlimitRTPrio = 14
	capSysNice   = 23
)

// mayChange tells whether sched_setattr(2) would let the calling thread change its
// attributes.
func mayChange(from, to sys.SchedAttr) bool {
	return hasSysNice() || allowed(from, to, sys.Limit(rlimitNice), sys.Limit(rlimitRTPrio))
}

// mayRaise tells whether the calling thread may return from any priority to what it has.
func mayRaise() bool {
	base, errno := sys.GetAttr(0)
	return errno == 0 && mayChange(Prio(0).attributes(base), base) && mayChange(fairFirst.attributes(base), base)
}

// allowed is the rule for a thread without CAP_SYS_NICE that has these limits. It is that
// of user_check_sched_setscheduler() in kernel/sched/syscalls.c.
func allowed(from, to sys.SchedAttr, niceLimit, rtLimit uint64) bool {
	mayHave := func(nice int32) bool { return uint64(20-nice) <= niceLimit }
	switch to.Policy {
	case sys.SchedFIFO, sys.SchedRR:
		if to.Policy != from.Policy && rtLimit == 0 {
			return false
		}
		if to.RTPriority > from.RTPriority && uint64(to.RTPriority) > rtLimit {
			return false
		}
	case sys.SchedOther, sys.SchedBatch:
		if to.Nice < from.Nice && !mayHave(to.Nice) {
			return false
		}
	}
	return from.Policy != sys.SchedIdle || to.Policy == sys.SchedIdle || mayHave(from.Nice)
}

// initialUserNamespace has the inode of the initial user namespace, PROC_USER_INIT_INO of
// include/linux/proc_ns.h.
const initialUserNamespace = "user:[4026531837]"

// hasSysNice tells whether the calling thread has CAP_SYS_NICE of the initial user
// namespace, the only one that counts. The capabilities of root in another user namespace
// are of that one.
func hasSysNice() bool {
	// A kernel without user namespaces has no such file.
	if namespace, err := os.Readlink("/proc/self/ns/user"); err == nil && namespace != initialUserNamespace {
		return false
	}
	return sys.Capabilities()&(1<<capSysNice) != 0
}
