// SPDX-License-Identifier: GPL-2.0
/*
 * Adds up how long the threads of one program wait from runnable to running, by Go priority
 * and class of delay. User space reads the sums.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "thread.h"

/* Of include/uapi/asm-generic/errno-base.h. */
#define EEXIST		17

/* One for no Go priority, and one for each of 0 to 63. */
#define PRIORITIES	65
#define CLASSES		10

/* The most threads whose waits are followed at a time. */
#define MAX_THREADS	65536

/* The tgid of the program. Set by user space. */
const volatile __s32 target = -1;

/*
 * The least delay, in ns, of each class but the first one, in ascending order. Set by user
 * space, which defines the classes.
 */
const volatile __u64 bounds[CLASSES - 1];

/* Waits that found no room in the map, so that their delays are not counted. */
__u64 unkept;

/* When each thread that waits for a CPU became runnable, in ns. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_THREADS);
	__type(key, __s32);
	__type(value, __u64);
} runnable SEC(".maps");

struct histogram {
	__u64 counts[CLASSES];
	/* What they add up to, in ns. */
	__u64 sum;
};

/* The delays by Go priority in force when they ended, plus 1; 0: none. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PRIORITIES);
	__type(key, __u32);
	__type(value, struct histogram);
} delays SEC(".maps");

/* Notes that a thread waits from now on; with BPF_NOEXIST, unless it waits already. */
static __always_inline void begin(__s32 tid, __u64 flags)
{
	__u64 now = bpf_ktime_get_ns();
	long error = bpf_map_update_elem(&runnable, &tid, &now, flags);

	if (error && error != -EEXIST)
		__sync_fetch_and_add(&unkept, 1);
}

/* Counts the delay of a thread that gets a CPU. */
static __always_inline void end(struct task_struct *thread)
{
	__s32 tid = thread->pid;
	__u64 *since = bpf_map_lookup_elem(&runnable, &tid);
	struct histogram *histogram;
	__u32 key, class = 0;
	__u64 now, delay;

	/* It waited already when the counting began, or went on. */
	if (!since)
		return;
	now = bpf_ktime_get_ns();
	/* The clocks of two CPUs may differ by a little. */
	delay = now > *since ? now - *since : 0;
	bpf_map_delete_elem(&runnable, &tid);
	key = go_priority(thread) + 1;
	histogram = bpf_map_lookup_elem(&delays, &key);
	if (!histogram)
		return;
	for (int i = 0; i < CLASSES - 1; i++)
		class += delay >= bounds[i];
	/* The verifier does not know what the loop comes to. */
	if (class < CLASSES)
		histogram->counts[class]++;
	histogram->sum += delay;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	__s32 tid;

	if (prev->tgid == target) {
		tid = prev->pid;
		/* If it was woken before it left, it has not waited since. */
		if (is_sleep(preempt, prev_state))
			bpf_map_delete_elem(&runnable, &tid);
		else
			begin(tid, BPF_ANY);
	}
	if (next->tgid == target)
		end(next);
	return 0;
}

static __always_inline int wake(struct task_struct *thread)
{
	if (thread->tgid == target)
		begin(thread->pid, BPF_NOEXIST);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *thread)
{
	return wake(thread);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *thread)
{
	return wake(thread);
}

char LICENSE[] SEC("license") = "GPL";
