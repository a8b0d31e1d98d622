// SPDX-License-Identifier: GPL-2.0
/*
 * Reads which goroutine each thread of Go programs has, whenever user space reads the iterator.
 * Nothing is attached to the scheduler.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "current.h"
#include "goroutine.h"

/* So often a thread is read that has another goroutine each time. */
#define ATTEMPTS	4

/* Where the runtime of each process keeps what is read, by tgid. Set by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __s32);
	__type(value, struct go_layout);
} layouts SEC(".maps");

/* Reads memory of any process, and waits for what is not mapped. */
static __always_inline void read_other(void *to, __u32 size, __u64 from,
				       struct task_struct *thread)
{
	bpf_copy_from_user_task(to, size, (void *)from, thread, 0);
}

SEC("iter.s/task")
int read_current(struct bpf_iter__task *ctx)
{
	struct task_struct *thread = ctx->task;
	struct current_thread found;
	struct go_layout *layout;
	__u64 curg, before = 0;
	__s32 tgid;
	int i;

	if (!thread || thread->exit_state)
		return 0;
	tgid = thread->tgid;
	layout = bpf_map_lookup_elem(&layouts, &tgid);
	if (!layout)
		return 0;
	__builtin_memset(&found, 0, sizeof(found));
	/* The thread may run: who has the same goroutine again had it when the status was read. */
	for (i = 0; i < ATTEMPTS; i++) {
		curg = read_goroutine(&found.goroutine, thread, layout, read_other);
		if (!curg)
			return 0;
		if (curg == before)
			break;
		before = curg;
		found.status = user_word(curg + layout->g_status, thread, read_other);
	}
	found.tid = thread->pid;
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
