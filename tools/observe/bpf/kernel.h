/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's types as far as the programs read them. Offsets are relocated when a program is
 * loaded (CO-RE).
 */
#ifndef KERNEL_H
#define KERNEL_H

typedef _Bool bool;
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
/* For bpf_helpers.h alone. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u64 __be64;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_RB_NO_WAKEUP = 1,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct load_weight {
	unsigned long weight;
};

struct cfs_rq {
	__u64 zero_vruntime;
	__s64 sum_w_vruntime;
	__u64 sum_weight;
	struct sched_entity *curr;
	struct rq *rq;
	struct task_group *tg;
	int throttle_count;
};

/* Fields by their names before Linux 6.18, of which the first has another one in 6.12.y too. */
struct cfs_rq___6_12 {
	__u64 min_vruntime;
	__s64 avg_vruntime;
	__u64 avg_load;
};

struct sched_entity {
	struct load_weight load;
	__u64 deadline;
	unsigned char on_rq;
	unsigned char sched_delayed;
	__u64 sum_exec_runtime;
	__u64 vruntime;
	__u64 slice;
	struct sched_entity *parent;
	struct cfs_rq *cfs_rq;
};

typedef struct {
	int counter;
} atomic_t;

struct qspinlock {
	atomic_t val;
};

struct raw_spinlock {
	struct qspinlock raw_lock;
};

struct rq {
	struct raw_spinlock __lock;
	__u64 nr_switches;
	__u64 clock;
	/* Not there without CONFIG_SCHED_CORE. */
	struct rq *core;
	unsigned int core_enabled;
};

struct sched_info {
	unsigned long long run_delay;
	unsigned long long last_arrival;
	unsigned long long last_queued;
};

struct gmp_info {
	__s8 applied;
};

/* Of x86. */
struct thread_struct {
	unsigned long fsbase;
};

struct thread_info {
	__u32 cpu;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int on_cpu;
	int on_rq;
	int prio;
	struct sched_entity se;
	struct gmp_info *gmp_info;
	unsigned int policy;
	struct sched_info sched_info;
	int exit_state;
	int pid;
	int tgid;
	__u64 start_time;
	char comm[16];
	struct thread_struct thread;
};

/* Of x86. */
struct pt_regs {
	unsigned long orig_ax;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#endif /* KERNEL_H */
