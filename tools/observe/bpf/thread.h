/* SPDX-License-Identifier: GPL-2.0 */
/* What several programs ask about a thread. */
#ifndef THREAD_H
#define THREAD_H

#include "record.h"

/* Returns the Go priority in force, or NO_GO_PRIORITY. */
static __always_inline __s8 go_priority(struct task_struct *thread)
{
	struct gmp_info *info;

	/* A kernel without go_sched has none. */
	if (!bpf_core_field_exists(thread->gmp_info))
		return NO_GO_PRIORITY;
	info = thread->gmp_info;
	return info ? info->applied : NO_GO_PRIORITY;
}

/*
 * Returns whether a thread that leaves its CPU sleeps. Who is preempted stays in the queue,
 * whatever it was about to do.
 */
static __always_inline bool is_sleep(bool preempt, unsigned int state)
{
	return state && !preempt;
}

#endif /* THREAD_H */
