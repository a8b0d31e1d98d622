/* SPDX-License-Identifier: GPL-2.0 */
/* What record.bpf.c tells of the scheduler, in the ring buffer and in the file of a record. */
#ifndef RECORD_H
#define RECORD_H

/* The goroutine that a thread has. */
struct goroutine {
	__u64 id;		/* 0: none */
	__s32 p;		/* the P, or -1 */
	__u8 scheduling;	/* the thread runs the runtime's scheduler: it is on g0 */
	__u8 known;		/* the rest was read */
	__u8 reserved[2];
};

enum event_kind {
	/* A thread leaves a CPU to another one. */
	EVENT_SWITCH = 1,
	/* A thread of the program becomes runnable; the other one wakes it. */
	EVENT_WAKEUP,
	/* A runnable thread of the program moves to the queue of another CPU. */
	EVENT_MIGRATE,
	/* A thread's Go priority in force changes; the other's is the new one. */
	EVENT_PRIORITY,
	/* The program executes another one; the other is the thread that did, by its id before. */
	EVENT_EXEC,
	/* A thread of the program ends. */
	EVENT_EXIT,
};

enum event_flags {
	EVENT_PREEMPTED_IN_KERNEL = 1,
	/* The group of a thread has used up its quota. */
	EVENT_THROTTLED = 2,
};

/* No system call: a thread was in user mode. */
#define NO_SYSCALL	(-1)
/* Not known which system call, if any: tracefs told the event. */
#define UNKNOWN_SYSCALL	(-2)
#define NO_GO_PRIORITY	(-1)

struct event_thread {
	__s32 tid;
	__s32 tgid;
	__s16 prio;		/* the kernel's, 0 to 139: the lower, the more urgent */
	__s8 go_prio;		/* in force, or NO_GO_PRIORITY */
	__u8 kernel;		/* the kernel's own thread */
	char name[16];
};

struct event {
	__u64 time;		/* CLOCK_MONOTONIC, ns */
	__u32 cpu;		/* EVENT_WAKEUP, EVENT_MIGRATE: in whose queue the thread is */
	__u8 kind;
	__u8 flags;
	__u8 reserved[2];
	struct event_thread thread;
	struct event_thread other;
	__u32 state;		/* EVENT_SWITCH: of the thread, 0 if it is runnable */
	__s32 syscall;		/* EVENT_SWITCH: which the thread is in, or NO_SYSCALL */
	struct goroutine goroutine; /* EVENT_SWITCH: the thread's */
};

/* Offsets of what the runtime keeps, in bytes. */
struct go_layout {
	__s64 tls_g;		/* the pointer to g, from the thread pointer */
	__u32 g_m;
	__u32 g_goid;
	__u32 g_status;
	__u32 m_curg;
	__u32 m_p;
	__u32 m_oldp;
	__u32 m_syscalltick;
	__u32 p_id;
	__u32 p_status;
	__u32 p_syscalltick;
};

#endif /* RECORD_H */
