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

struct cfs_rq {
	int throttle_count;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
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
	int prio;
	struct sched_entity se;
	struct gmp_info *gmp_info;
	int pid;
	int tgid;
	char comm[16];
	struct thread_struct thread;
};

/* Of x86. */
struct pt_regs {
	unsigned long orig_ax;
};

#pragma clang attribute pop

#endif /* KERNEL_H */
