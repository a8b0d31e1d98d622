// SPDX-License-Identifier: GPL-2.0
/*
 * Reads what the scheduler owes the threads of a process, whenever user space reads the
 * iterator. Nothing is attached to the scheduler.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "lag.h"

/* How often a thread is read at most, if its queue changes meanwhile. */
#define ATTEMPTS	8

#define NICE_0_SHIFT	10

/* Of kernel/sched/sched.h: the weights in a queue's sums. */
#define LOWEST_WEIGHT	2

/* The process whose threads are read: its tgid. */
__s32 target;

/* Too large for the stack. Only one reads at a time. */
struct lag_sample sample;

/* What tells whether a thread or its queue has changed. */
struct state {
	struct cfs_rq *queue;
	__u64 clock;
	__u64 switches;
	__u32 cpu;
	bool locked;
};

static __always_inline bool is_locked(struct rq *rq)
{
	/* With core scheduling, the queues of a core have one lock. */
	if (bpf_core_field_exists(rq->core_enabled) && rq->core_enabled)
		rq = rq->core;
	/* A kernel for one CPU has no lock, and nobody changes the queue meanwhile. */
	return bpf_core_field_exists(rq->__lock.raw_lock.val) &&
	       rq->__lock.raw_lock.val.counter;
}

static __always_inline void note(struct state *state, struct task_struct *thread)
{
	struct cfs_rq *queue = thread->se.cfs_rq;
	struct rq *rq = queue->rq;

	state->queue = queue;
	state->cpu = thread->thread_info.cpu;
	state->clock = rq->clock;
	state->switches = rq->nr_switches;
	state->locked = is_locked(rq);
}

static __always_inline __u64 scaled_down(__u64 weight)
{
	__u64 scaled = weight >> NICE_0_SHIFT;

	if (!weight)
		return 0;
	return scaled < LOWEST_WEIGHT ? LOWEST_WEIGHT : scaled;
}

static __always_inline void read_queue(struct lag_queue *to, struct cfs_rq *queue,
				       struct sched_entity *entity, struct sched_entity *reader)
{
	struct cfs_rq___6_12 *renamed = (void *)queue;
	struct sched_entity *curr = queue->curr;

	if (bpf_core_field_exists(queue->zero_vruntime))
		to->zero = queue->zero_vruntime;
	else
		to->zero = renamed->min_vruntime;
	if (bpf_core_field_exists(queue->sum_w_vruntime)) {
		to->sum = queue->sum_w_vruntime;
		to->weight = queue->sum_weight;
	} else {
		to->sum = renamed->avg_vruntime;
		to->weight = renamed->avg_load;
	}
	to->vruntime = entity->vruntime;
	to->deadline = entity->deadline;
	to->own_weight = entity->on_rq ? entity->load.weight : 0;
	to->curr_vruntime = 0;
	to->curr_weight = 0;
	/* The reader is here because it reads: without it, the others are owed what they are. */
	if (curr && curr != reader && curr->on_rq) {
		to->curr_vruntime = curr->vruntime;
		to->curr_weight = scaled_down(curr->load.weight);
	}
}

static __always_inline void read_queues(struct task_struct *thread, struct sched_entity *reader)
{
	struct sched_entity *entity = &thread->se;
	struct cfs_rq *queue = entity->cfs_rq;
	int i;

	sample.group = (__u64)queue->tg;
	if (bpf_core_field_exists(queue->throttle_count) && queue->throttle_count)
		sample.flags |= LAG_THROTTLED;
	for (i = 0; i < LAG_LEVELS && entity; i++) {
		read_queue(&sample.queues[i], entity->cfs_rq, entity, reader);
		entity = entity->parent;
	}
	sample.levels = i;
	if (entity)
		sample.flags |= LAG_DEEPER;
}

static __always_inline void read_thread(struct task_struct *thread, struct task_struct *reader)
{
	sample.flags = 0;
	if (thread->on_cpu)
		sample.flags |= LAG_ON_CPU;
	if (thread->on_rq)
		sample.flags |= LAG_RUNNABLE;
	/* One bit of a byte in a kernel with go_sched, all of it in others, and not before 6.12. */
	if (bpf_core_field_exists(thread->se.sched_delayed) &&
	    BPF_CORE_READ_BITFIELD(thread, se.sched_delayed))
		sample.flags |= LAG_DELAYED;
	sample.prio = thread->prio;
	sample.policy = thread->policy;
	sample.ran = thread->se.sum_exec_runtime;
	sample.slice = thread->se.slice;
	/* Not there without CONFIG_SCHED_INFO. */
	if (!bpf_core_field_exists(thread->sched_info.run_delay))
		return;
	sample.flags |= LAG_WAIT_KNOWN;
	sample.waited = thread->sched_info.run_delay;
	sample.waits_since = thread->sched_info.last_queued;
	/* Both are the time of one switch. */
	if (sample.cpu == reader->thread_info.cpu && sample.waits_since &&
	    sample.waits_since == reader->sched_info.last_arrival)
		sample.flags |= LAG_DISPLACED;
}

SEC("iter/task")
int read_lag(struct bpf_iter__task *ctx)
{
	struct task_struct *thread = ctx->task, *reader = bpf_get_current_task_btf();
	struct state before, after;
	int i;

	if (!thread || thread->tgid != target || thread->exit_state)
		return 0;
	__builtin_memset(&sample, 0, sizeof(sample));
	sample.tid = thread->pid;
	sample.started = thread->start_time;
	__builtin_memcpy(sample.name, thread->comm, sizeof(sample.name));

	/*
	 * A lock cannot be taken here. The kernel changes a queue under its lock, and first of all
	 * brings its clock up to date: if neither is seen, nothing has changed.
	 */
	for (i = 0; i < ATTEMPTS; i++) {
		note(&before, thread);
		barrier();
		sample.cpu = before.cpu;
		sample.accounted = before.clock;
		sample.now = reader->se.cfs_rq->rq->clock;
		read_thread(thread, reader);
		read_queues(thread, &reader->se);
		barrier();
		note(&after, thread);
		if (!before.locked && !after.locked && before.queue == after.queue &&
		    before.cpu == after.cpu && before.clock == after.clock &&
		    before.switches == after.switches) {
			sample.flags |= LAG_CONSISTENT;
			break;
		}
	}
	if (!(sample.flags & LAG_CONSISTENT))
		sample.levels = 0;
	bpf_seq_write(ctx->meta->seq, &sample, sizeof(sample));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
