/* SPDX-License-Identifier: GPL-2.0 */
/* What lag.bpf.c tells of each thread of a process. */
#ifndef LAG_H
#define LAG_H

/* A thread's own queue, and those of so many control groups that are inside each other. */
#define LAG_LEVELS	8

enum lag_flags {
	LAG_ON_CPU = 1,
	/* The thread had a CPU until the reader took it. */
	LAG_DISPLACED = 2,
	LAG_RUNNABLE = 4,
	/* The thread sleeps, and stays in its queue until it is owed nothing. */
	LAG_DELAYED = 8,
	/* The group of the thread, or one above, has used up its quota. */
	LAG_THROTTLED = 16,
	/* The kernel changed nothing while queues were read. */
	LAG_CONSISTENT = 32,
	/* The kernel measures how long a thread waits. */
	LAG_WAIT_KNOWN = 64,
	/* There are more control groups than LAG_LEVELS has room for. */
	LAG_DEEPER = 128,
};

/*
 * The place of a thread or group in a queue. Virtual times are in ns, and wrap around. Weights
 * of nice 0 are 1024, but for own_weight, of which they are 1048576.
 */
struct lag_queue {
	__s64 sum;		/* of all but the one that runs: weight * (vruntime - zero) */
	__u64 weight;		/* the sum of their weights */
	__u64 zero;
	__u64 vruntime;		/* the thread's or group's own */
	__u64 deadline;
	__u64 own_weight;	/* 0: not in the queue */
	__u64 curr_vruntime;	/* of the one that runs */
	__u64 curr_weight;	/* 0: none runs */
};

/* Times are in ns; those of the scheduler's clock are comparable with each other. */
struct lag_sample {
	__u64 now;		/* the scheduler's clock */
	__u64 accounted;	/* the same, when the thread's queue was last brought up to date */
	__u64 ran;		/* CPU time, until then if the thread runs */
	__u64 waited;		/* for a CPU, but for the present wait */
	__u64 waits_since;	/* the scheduler's clock, or 0 */
	__u64 slice;
	__u64 started;		/* when the thread did: no other one has the same id and this */
	__u64 group;		/* any number that changes with the control group */
	__s32 tid;
	__s32 prio;		/* the kernel's: below 0 deadline, below 100 real-time */
	__u32 policy;
	__u32 cpu;
	enum lag_flags flags;
	__u32 levels;		/* of queues that are told: 0, unless they are consistent */
	char name[16];
	struct lag_queue queues[LAG_LEVELS]; /* the thread's own, its group's, and so on */
};

#endif /* LAG_H */
