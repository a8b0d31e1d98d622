/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/go_sched: one scheduling priority per thread, 0 to 63, higher = more
 * urgent. This file is the whole ABI; every binding is generated from it.
 *
 * Extension rule. Each structure starts with its own size in bytes, set by the
 * caller. New fields go at the end, and zero always means "as before":
 *  - a caller older than the kernel passes a shorter structure, the kernel
 *    takes the missing tail as zero;
 *  - a caller newer than the kernel passes a longer one: accepted while the
 *    tail the kernel does not know is all zero, otherwise E2BIG;
 *  - a size below the structure's first version (..._SIZE_VER0) is EINVAL, one
 *    above a page is E2BIG.
 * The request numbers carry no size, so that they stay the same.
 *
 * After any error nothing has changed.
 */
#ifndef _UAPI_GO_SCHED_H
#define _UAPI_GO_SCHED_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Returned by GO_SCHED_VERSION; changed only when a caller must notice. */
#define GO_SCHED_ABI_VERSION	1

/* Priorities are 0 to GO_SCHED_LEVELS - 1; higher = more urgent. */
#define GO_SCHED_LEVELS		64

/* Reported in place of a priority: the thread has none. */
#define GO_SCHED_PRIO_NONE	(-1)

/*
 * How the member "target" names a thread.
 *
 * Without the flag: a thread id in the caller's pid namespace; 0 is the calling
 * thread. With it: a pidfd, see pidfd_open(2); one opened with PIDFD_THREAD
 * names that thread, any other the leader of its process.
 */
#define GO_SCHED_TARGET_PIDFD	(1U << 0)

/*
 * With GO_SCHED_SET: threads and processes that the target creates start at its
 * priority, through execve(2) as well. Without it they start with the target's
 * base policy and no priority. sched_setattr(2)'s SCHED_FLAG_RESET_ON_FORK on
 * the target overrides this. GO_SCHED_GET reports it.
 */
#define GO_SCHED_INHERIT	(1U << 1)

/**
 * struct go_sched_set - argument of GO_SCHED_SET
 * @size: sizeof(struct go_sched_set)
 * @flags: GO_SCHED_TARGET_PIDFD, GO_SCHED_INHERIT
 * @target: the thread, see GO_SCHED_TARGET_PIDFD
 * @prio: 0 to GO_SCHED_LEVELS - 1, higher = more urgent
 */
struct go_sched_set {
	__u32 size;
	__u32 flags;
	__s32 target;
	__u32 prio;
};

#define GO_SCHED_SET_SIZE_VER0		16

/**
 * struct go_sched_clear - argument of GO_SCHED_CLEAR
 * @size: sizeof(struct go_sched_clear)
 * @flags: GO_SCHED_TARGET_PIDFD
 * @target: the thread, see GO_SCHED_TARGET_PIDFD
 */
struct go_sched_clear {
	__u32 size;
	__u32 flags;
	__s32 target;
};

#define GO_SCHED_CLEAR_SIZE_VER0	12

/**
 * struct go_sched_get - argument and answer of GO_SCHED_GET
 * @size: sizeof(struct go_sched_get)
 * @flags: in: GO_SCHED_TARGET_PIDFD; out: GO_SCHED_INHERIT or 0
 * @target: the thread, see GO_SCHED_TARGET_PIDFD; not changed
 * @prio: out: the priority asked for, or GO_SCHED_PRIO_NONE
 * @base_policy: out: SCHED_* the thread has without its priority
 * @base_nice: out: nice value it has without its priority, -20 to 19
 * @base_rt_priority: out: real-time priority it has without its priority,
 *	1 to 99 for SCHED_FIFO and SCHED_RR, otherwise 0
 * @reserved: out: 0
 * @base_slice_ns: out: EEVDF slice, in nanoseconds, it asked for with
 *	sched_setattr(2); 0 is the kernel's default
 *
 * The parameters in force are the business of sched_getattr(2). The kernel
 * writes the smaller of @size and the size it knows.
 */
struct go_sched_get {
	__u32 size;
	__u32 flags;
	__s32 target;
	__s32 prio;
	__u32 base_policy;
	__s32 base_nice;
	__u32 base_rt_priority;
	__u32 reserved;
	__u64 base_slice_ns;
};

#define GO_SCHED_GET_SIZE_VER0		40

#define GO_SCHED_IOC_MAGIC		0xBC

/*
 * GO_SCHED_VERSION takes no argument and returns GO_SCHED_ABI_VERSION.
 *
 * GO_SCHED_SET, GO_SCHED_CLEAR and GO_SCHED_GET take a pointer to the structure
 * of the same name and return 0. CLEAR of a thread without a priority succeeds.
 *
 * Errors:
 *  E2BIG       the structure is longer than the kernel knows, and its tail is
 *              not zero; or it is longer than a page
 *  EBADF       @target is not a pidfd (with GO_SCHED_TARGET_PIDFD)
 *  EBUSY       SET: the thread is SCHED_DEADLINE
 *  EFAULT      the pointer is bad
 *  EINVAL      priority above GO_SCHED_LEVELS - 1, unknown flag, size below
 *              ..._SIZE_VER0, or negative thread id
 *  ENOMEM      no memory for the thread's record
 *  ENOTTY      unknown request
 *  EOPNOTSUPP  SET: no mapping is registered with the scheduler
 *  EPERM       SET, CLEAR: sched_setattr(2) would refuse the caller the same
 *              parameters, judged against the thread's base; or the thread is
 *              a kernel thread
 *  ESRCH       no such thread, or it is exiting
 */
#define GO_SCHED_VERSION	_IO(GO_SCHED_IOC_MAGIC, 0x00)
#define GO_SCHED_SET		_IO(GO_SCHED_IOC_MAGIC, 0x01)
#define GO_SCHED_GET		_IO(GO_SCHED_IOC_MAGIC, 0x02)
#define GO_SCHED_CLEAR		_IO(GO_SCHED_IOC_MAGIC, 0x03)

#endif /* _UAPI_GO_SCHED_H */
