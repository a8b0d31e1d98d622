/* SPDX-License-Identifier: GPL-2.0 */
/* Reads which goroutine and P a thread of Go's runtime has. */
#ifndef GOROUTINE_H
#define GOROUTINE_H

#include "record.h"

/* Reads memory of a thread's process. What cannot be read stays 0. */
typedef void read_memory(void *to, __u32 size, __u64 from, struct task_struct *thread);

static __always_inline __u64 user_pointer(__u64 address, struct task_struct *thread,
					  read_memory *read)
{
	__u64 value = 0;

	read(&value, sizeof(value), address, thread);
	return value;
}

static __always_inline __u32 user_word(__u64 address, struct task_struct *thread,
				       read_memory *read)
{
	__u32 value = 0;

	read(&value, sizeof(value), address, thread);
	return value;
}

/* Returns the P of an M, or 0. Before Go 1.26 an M in a system call keeps it as oldp alone. */
static __always_inline __u64 p_of(__u64 m, struct task_struct *thread,
				  const struct go_layout *layout, read_memory *read)
{
	const __u32 in_syscall = 2;
	__u64 p = user_pointer(m + layout->m_p, thread, read);

	if (p || !layout->m_oldp)
		return p;
	p = user_pointer(m + layout->m_oldp, thread, read);
	/* Unless another M has taken it since. */
	if (p && user_word(p + layout->p_status, thread, read) == in_syscall &&
	    user_word(p + layout->p_syscalltick, thread, read) ==
	    user_word(m + layout->m_syscalltick, thread, read))
		return p;
	return 0;
}

/*
 * Reads the goroutine of a thread that was switched out since it last set its thread pointer, or
 * is the current one. Returns where its g is, or 0 if there is none.
 */
static __always_inline __u64 read_goroutine(struct goroutine *to, struct task_struct *thread,
					    const struct go_layout *layout, read_memory *read)
{
	__u64 g, m, curg, p;

	to->p = -1;
	g = user_pointer(thread->thread.fsbase + layout->tls_g, thread, read);
	if (!g)
		return 0;
	m = user_pointer(g + layout->g_m, thread, read);
	if (!m)
		return 0;
	curg = user_pointer(m + layout->m_curg, thread, read);
	to->known = 1;
	to->scheduling = curg != g;
	p = p_of(m, thread, layout, read);
	if (p)
		to->p = user_word(p + layout->p_id, thread, read);
	if (curg)
		to->id = user_pointer(curg + layout->g_goid, thread, read);
	return curg;
}

#endif /* GOROUTINE_H */
