/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/go_sched and go_set_schedprio(2): one scheduling priority per thread, 0 to
 * 63, higher = more urgent. This file is the whole ABI.
 *
 * A thread's priority is changed by SET and the system call, by a store to its
 * slot of the hint page, and ended by CLEAR, sched_setattr(2), setpriority(2) and
 * their relatives. The last of these to happen wins.
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
#ifndef _UAPI_LINUX_GO_SCHED_H
#define _UAPI_LINUX_GO_SCHED_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Returned by GO_SCHED_VERSION; changed only when a caller must notice. */
#define GO_SCHED_ABI_VERSION	1

/* Priorities are 0 to GO_SCHED_LEVELS - 1; higher = more urgent. */
#define GO_SCHED_LEVELS		64

/* Reported in place of a priority: the thread has none. */
#define GO_SCHED_PRIO_NONE	(-1)

/*
 * long go_set_schedprio(pid_t pid, unsigned int prio, unsigned int flags) is
 * GO_SCHED_SET as a system call: @pid is its target, @flags its flags. With
 * GO_SCHED_FOLLOW_HINT it is GO_SCHED_FOLLOW, and @prio is 0.
 *
 * Errors: those of the request; SET: EOPNOTSUPP while no mapping is registered, ENOSYS
 * on a kernel without go_sched. The number is one of those that Linux does not
 * assign on x86-64.
 */
#define GO_SCHED_NR_SET_SCHEDPRIO	400

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

/*
 * Answered by GO_SCHED_GET: the thread was switched out inside the kernel, and its base
 * is in force in place of @applied. See struct go_sched_get.
 */
#define GO_SCHED_KERNEL_WORK	(1U << 2)

/* With the system call alone: GO_SCHED_FOLLOW instead of GO_SCHED_SET. */
#define GO_SCHED_FOLLOW_HINT	(1U << 3)

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
 * struct go_sched_follow - argument of GO_SCHED_FOLLOW
 * @size: sizeof(struct go_sched_follow)
 * @flags: GO_SCHED_TARGET_PIDFD
 * @target: the thread, see GO_SCHED_TARGET_PIDFD
 *
 * A thread sees what was stored to its slot when it runs. FOLLOW has it seen at once
 * where that raises a thread that waits for a CPU, or sleeps. What lowers the thread is
 * left to itself, but from one SCHED_IDLE priority to another. A thread that is not
 * bound to a slot stays as it is.
 */
struct go_sched_follow {
	__u32 size;
	__u32 flags;
	__s32 target;
};

#define GO_SCHED_FOLLOW_SIZE_VER0	12

/**
 * struct go_sched_get - argument and answer of GO_SCHED_GET
 * @size: sizeof(struct go_sched_get)
 * @flags: in: GO_SCHED_TARGET_PIDFD; out: GO_SCHED_INHERIT, GO_SCHED_KERNEL_WORK
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
 * @applied: out: the priority in force, or GO_SCHED_PRIO_NONE. Other than @prio
 *	while a hint is not yet seen, or the thread is held at what it owns because
 *	it ran away, see struct go_sched_class_info
 * @ceiling: out: the highest priority that a hint gets the thread, see struct
 *	go_sched_ceiling
 * @ceiling_granted: out: 1 if a ceiling was set, 0 if @ceiling follows the base
 * @slot: out: the slot of the hint page the thread is bound to, counted from the
 *	start of that page, or -1
 * @policy: out: SCHED_* in force
 * @nice: out: nice value in force, -20 to 19; of no effect under SCHED_FIFO and
 *	SCHED_RR
 * @rt_priority: out: real-time priority in force, 1 to 99 for SCHED_FIFO and
 *	SCHED_RR, otherwise 0
 * @reserved2: out: 0
 * @slice_ns: out: EEVDF slice in force, in nanoseconds; 0 under SCHED_FIFO, SCHED_RR
 *	and SCHED_DEADLINE, which have none
 *
 * @prio is what the last change asked for, a hint already lowered to the ceiling.
 * The kernel writes the smaller of @size and the size it knows.
 *
 * A thread below its base holds what others wait for as any other does, while it waits
 * for all of them. So one whose priority is SCHED_IDLE, and whose base is not, has its
 * base in force from when it is preempted in the kernel, or sleeps there so that no
 * signal wakes it, until it returns to user mode, or sleeps so that one does. It has
 * 10 ms of CPU time so, and the rest of its way at its priority. @applied stays what it
 * has in user mode. A thread that asks for itself is told what it returns with.
 *
 * What is in force is lent to the thread, as by a mutex with priority inheritance.
 * The base is what it has, and what all other calls tell: sched_getattr(2),
 * sched_getscheduler(2), sched_getparam(2), getpriority(2), and the nice value,
 * real-time priority and policy in /proc/PID/stat. So whatever was read there and
 * is written back, also a nice value counted from it, leaves the base as it was. It
 * ends the priority as any other change by these calls does.
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
	__s32 applied;
	__s32 ceiling;
	__u32 ceiling_granted;
	__s32 slot;
	__u32 policy;
	__s32 nice;
	__u32 rt_priority;
	__u32 reserved2;
	__u64 slice_ns;
};

#define GO_SCHED_GET_SIZE_VER0		40

/**
 * struct go_sched_ceiling - argument of GO_SCHED_CEILING
 * @size: sizeof(struct go_sched_ceiling)
 * @flags: GO_SCHED_TARGET_PIDFD
 * @target: the thread, see GO_SCHED_TARGET_PIDFD
 * @ceiling: 0 to GO_SCHED_LEVELS - 1, or GO_SCHED_PRIO_NONE for the thread's own
 *
 * What a thread owns, everybody who has its user id may give it, and its hint: each
 * priority whose very parameters sched_setattr(2) would let such a caller give it,
 * with the thread at its base, and so by its nice value, its policy, RLIMIT_NICE and
 * RLIMIT_RTPRIO. Under SCHED_IDLE, a weight above that policy's own takes what leaving
 * it takes. What a thread owns need not be one range: SCHED_OTHER at nice 0 owns 0 to
 * 32, and with an RLIMIT_RTPRIO of 1 also 48, but nothing between. Its own ceiling is
 * the highest priority that it owns. A hint for one below that it does not own counts
 * as the next lower one that it does.
 *
 * A ceiling that a caller with CAP_SYS_NICE has set is granted: it allows all
 * priorities up to it, whoever owns them, to whoever has the thread's user id. Set
 * without, a ceiling allows nothing: it bounds what hints may ask for. Raising the
 * present one takes CAP_SYS_NICE. Threads it creates have the same ceiling, unless
 * SCHED_FLAG_RESET_ON_FORK is set, and execve(2) keeps it. A granted ceiling ends when
 * the thread changes its real or effective user id, by setuid(2) or a set-user-id
 * program, and then has no CAP_SYS_NICE of the initial user namespace in effect: a
 * grant is to a user, so grant it after the change.
 *
 * A priority above the new ceiling that only the old one allowed falls to it; one
 * that a caller with CAP_SYS_NICE has set stays.
 */
struct go_sched_ceiling {
	__u32 size;
	__u32 flags;
	__s32 target;
	__s32 ceiling;
};

#define GO_SCHED_CEILING_SIZE_VER0	16

/* Bytes of one slot of the hint page. */
#define GO_SCHED_SLOT_SIZE		64

/* Bytes of hint pages that one open file has at most. */
#define GO_SCHED_HINT_MAX_SIZE		(1 << 20)

/* In the bytes of a slot: no priority. */
#define GO_SCHED_HINT_NONE		0xff

/**
 * struct go_sched_slot - one slot of the hint page
 * @wanted: the priority its thread shall have, 0 to GO_SCHED_LEVELS - 1; what is
 *	above the thread's ceiling is lowered to it. GO_SCHED_HINT_NONE: what
 *	GO_SCHED_SET said last, or the base. Other values are ignored. Any
 *	thread that has the page mapped may store here; binding starts it at
 *	GO_SCHED_HINT_NONE
 * @applied: written by the kernel while a thread is bound: the priority in force,
 *	or GO_SCHED_HINT_NONE. It never reads this
 * @reserved: 0; whoever wakes a thread up reads this line, so leave it alone
 *
 * mmap(2) of /dev/go_sched, shared, gives up to GO_SCHED_HINT_MAX_SIZE bytes of
 * slots; slot n is at byte n * GO_SCHED_SLOT_SIZE of the file. All mappings of one
 * open file show the same slots. They outlive its close(2).
 *
 * A page of slots comes into being when it is touched first, or when the first of
 * its slots is bound. It counts as memory that its user has locked, against
 * RLIMIT_MEMLOCK unless the thread that does so has CAP_IPC_LOCK, until the file is
 * closed, all its mappings are gone and no thread is bound to the page; and it is charged
 * to the memory cgroup. Beyond the limit, or without memory, GO_SCHED_BIND fails with
 * ENOMEM, and touching the page is a SIGBUS: bind first.
 *
 * The scheduler reads @wanted of the thread that runs: when it is about to
 * switch, on the tick, and when another thread wakes up on its CPU. It acts on a
 * value that differs from the one it saw last: storing the same value again
 * does not undo a GO_SCHED_SET or sched_setattr(2) in between. While the thread is
 * SCHED_DEADLINE, or a sched_ext scheduler runs all threads, the value waits.
 */
struct go_sched_slot {
	__u8 wanted;
	__u8 applied;
	__u8 reserved[62];
};

/**
 * struct go_sched_bind - argument of GO_SCHED_BIND
 * @size: sizeof(struct go_sched_bind)
 * @flags: 0
 * @slot: number of the slot in this open file
 *
 * Binds the calling thread. GO_SCHED_UNBIND, through any open file, ends it, and
 * so do execve(2), the end of the thread, and the unloading of the module.
 * munmap(2) and close(2) do not: the last value stays in force. Nothing inherits a
 * binding.
 */
struct go_sched_bind {
	__u32 size;
	__u32 flags;
	__u32 slot;
};

#define GO_SCHED_BIND_SIZE_VER0		12

/* Why a thread's scheduling was changed last. */
#define GO_SCHED_CAUSE_NONE		0	/* it never was */
#define GO_SCHED_CAUSE_IOCTL		1	/* a request of /dev/go_sched */
#define GO_SCHED_CAUSE_SYSCALL		2	/* go_set_schedprio(2) */
#define GO_SCHED_CAUSE_HINT		3	/* a store to its slot, or its end */
#define GO_SCHED_CAUSE_FORK		4	/* inherited */
#define GO_SCHED_CAUSE_EXTERNAL		5	/* sched_setattr(2) and relatives, setuid(2) */
#define GO_SCHED_CAUSE_UNREGISTER	6	/* the mapping went away */
#define GO_SCHED_CAUSE_REGISTER		7	/* the mapping came, or was replaced */
#define GO_SCHED_CAUSE_RUNAWAY		8	/* it ran away, or has slept since */
#define GO_SCHED_CAUSE_KERNEL_WORK	9	/* in the tracepoint alone: GO_SCHED_KERNEL_WORK */

/**
 * struct go_sched_stats - argument and answer of GO_SCHED_STATS
 * @size: sizeof(struct go_sched_stats)
 * @flags: in: GO_SCHED_TARGET_PIDFD; out: 0
 * @target: the thread, see GO_SCHED_TARGET_PIDFD; not changed
 * @last_cause: out: GO_SCHED_CAUSE_* of the last change
 * @applies: out: how often its scheduling was changed
 * @clamps: out: how often a hint was for more than the thread may have
 * @skips: out: how often acting on a hint was put off: another CPU was changing
 *	the thread, it waited for a mutex with priority inheritance, or it was to be
 *	lowered while preempted or asleep inside the kernel, or by GO_SCHED_FOLLOW
 * @runaways: out: how often it was held at what it owns, because it had used up the
 *	budget of its granted ceiling
 *
 * All count from the thread's first priority, binding or ceiling.
 */
struct go_sched_stats {
	__u32 size;
	__u32 flags;
	__s32 target;
	__u32 last_cause;
	__u64 applies;
	__u64 clamps;
	__u64 skips;
	__u64 runaways;
};

#define GO_SCHED_STATS_SIZE_VER0	48

/**
 * struct go_sched_class_info - argument and answer of GO_SCHED_CLASS_INFO
 * @size: sizeof(struct go_sched_class_info)
 * @flags: in and out: 0
 * @version: out: version of the mapping in force
 * @budget_ms: out: CPU time in milliseconds that a granted ceiling allows at once at
 *	priorities that the thread does not own; 0 is no limit
 * @hash: out: FNV-1a of the mapping in force
 * @share_percent: out: the same in the long run, in percent of one CPU
 * @reserved: out: 0
 *
 * Each granted ceiling has a budget, which starts full. The threads and processes
 * that its thread creates draw on the same. It is used up by CPU time at priorities
 * that a thread has through the grant alone, and fills by @share_percent of the time
 * that one of them sleeps. What is used beyond it until the kernel looks, at the latest
 * on the tick, is a debt. Whoever finds it used up ran away: it is held at the highest
 * priority below that it owns, until it sleeps and there is a budget again. Such a
 * priority boosts nobody who has a mutex with priority inheritance.
 */
struct go_sched_class_info {
	__u32 size;
	__u32 flags;
	__u32 version;
	__u32 budget_ms;
	__u64 hash;
	__u32 share_percent;
	__u32 reserved;
};

#define GO_SCHED_CLASS_INFO_SIZE_VER0	24

#define GO_SCHED_IOC_MAGIC		0xBC

/*
 * GO_SCHED_VERSION takes no argument and returns GO_SCHED_ABI_VERSION.
 * GO_SCHED_UNBIND takes none and returns 0, also for a thread that is not bound.
 *
 * The others take a pointer to the structure of the same name and return 0. CLEAR
 * of a thread without a priority succeeds.
 *
 * Errors:
 *  E2BIG       the structure is longer than the kernel knows, and its tail is
 *              not zero; or it is longer than a page
 *  EBADF       @target is not a pidfd (with GO_SCHED_TARGET_PIDFD)
 *  EBUSY       SET, BIND: the thread is SCHED_DEADLINE.
 *              SET, BIND, CEILING: a sched_ext scheduler runs all threads.
 *              BIND: the slot or the thread is bound already
 *  EFAULT      the pointer is bad
 *  EINVAL      priority or ceiling above GO_SCHED_LEVELS - 1, unknown flag, size
 *              below ..._SIZE_VER0, or negative thread id.
 *              BIND: the slot is beyond GO_SCHED_HINT_MAX_SIZE
 *  ENOMEM      no memory for the thread's record.
 *              BIND: no memory for the page, or RLIMIT_MEMLOCK allows no more
 *  ENOTTY      unknown request
 *  EOPNOTSUPP  SET, BIND, CEILING: no mapping is registered with the scheduler
 *  EPERM       SET: not a thread of the caller's user, or neither owned nor up to a
 *              granted ceiling, and no CAP_SYS_NICE.
 *              CLEAR, FOLLOW: neither a thread of the caller's user nor CAP_SYS_NICE.
 *              CEILING: the same, or above the present one without CAP_SYS_NICE.
 *              The thread is a kernel thread
 *  ESRCH       no such thread, or it is exiting
 */
#define GO_SCHED_VERSION	_IO(GO_SCHED_IOC_MAGIC, 0x00)
#define GO_SCHED_SET		_IO(GO_SCHED_IOC_MAGIC, 0x01)
#define GO_SCHED_GET		_IO(GO_SCHED_IOC_MAGIC, 0x02)
#define GO_SCHED_CLEAR		_IO(GO_SCHED_IOC_MAGIC, 0x03)
#define GO_SCHED_CEILING	_IO(GO_SCHED_IOC_MAGIC, 0x04)
#define GO_SCHED_BIND		_IO(GO_SCHED_IOC_MAGIC, 0x05)
#define GO_SCHED_UNBIND		_IO(GO_SCHED_IOC_MAGIC, 0x06)
#define GO_SCHED_STATS		_IO(GO_SCHED_IOC_MAGIC, 0x07)
#define GO_SCHED_CLASS_INFO	_IO(GO_SCHED_IOC_MAGIC, 0x08)
#define GO_SCHED_FOLLOW		_IO(GO_SCHED_IOC_MAGIC, 0x09)

#endif /* _UAPI_LINUX_GO_SCHED_H */
