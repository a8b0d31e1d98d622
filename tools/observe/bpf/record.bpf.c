// SPDX-License-Identifier: GPL-2.0
/*
 * Tells what the scheduler does with the threads of one program, and which goroutine a thread
 * of Go's runtime has, read at the kernel's own switch from where the thread keeps it. Who
 * gets a CPU while a thread of the program waits for it is told, too.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "record.h"
#include "goroutine.h"
#include "thread.h"

/* The most CPUs of Linux on x86, and the first id that no thread has: both are powers of two. */
#define MAX_CPUS	(1 << 13)
#define PID_MAX_LIMIT	(1 << 22)

/* Of include/linux/sched.h. */
#define PF_KTHREAD	0x00200000

/* The process that is recorded: its tgid, or -1 as long as there is none. */
__s32 target = -1;

/* The recorder, while the next process that it starts is to be the target; otherwise 0. */
__u32 starter;

/* Where the runtime keeps what is read. Set by user space. */
struct go_layout layout;
/* Whether layout holds for the program, and whether for the one that it executes next. */
bool is_go;
bool is_go_after_exec;

/* Events that found no room in the ring buffer. */
__u64 lost;

/* How many threads of the program wait in the queue of each CPU. A CPU has its own cache line. */
__u32 waiting[MAX_CPUS][16] SEC(".bss.waiting");

/*
 * The CPU in whose queue a thread waits, plus 1, or 0. With a slot for each id that a thread may
 * have, nothing is searched, and no thread is left out. Who changes a slot holds the lock of the
 * queue that the thread is in.
 */
__u16 queued[PID_MAX_LIMIT] SEC(".bss.queued");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

/* Returns how many threads of the program wait in the queue of a CPU. */
static __always_inline __u32 *waiting_on(__u32 cpu)
{
	return waiting[cpu & (MAX_CPUS - 1)];
}

/* Returns the slot of a thread. The slots of ids in a row are in different cache lines. */
static __always_inline __u16 *queued_of(struct task_struct *thread)
{
	__u32 tid = thread->pid;

	return &queued[(tid << 5 | tid >> 17) & (PID_MAX_LIMIT - 1)];
}

/* Notes that a thread waits in the queue of a CPU. */
static __always_inline void enqueue(struct task_struct *thread, __u32 cpu)
{
	__u16 *queue = queued_of(thread);

	if (*queue)
		return;
	*queue = cpu + 1;
	__sync_fetch_and_add(waiting_on(cpu), 1);
}

static __always_inline void dequeue(struct task_struct *thread)
{
	__u16 *queue = queued_of(thread);

	if (!*queue)
		return;
	__sync_fetch_and_add(waiting_on(*queue - 1), -1);
	*queue = 0;
}

/* Reads memory that is mapped: what is not is taken for zeros. */
static __always_inline void read_current(void *to, __u32 size, __u64 from,
					 struct task_struct *thread)
{
	bpf_probe_read_user(to, size, (void *)from);
}

static __always_inline void tell_thread(struct event_thread *to, struct task_struct *thread)
{
	to->tid = thread->pid;
	to->tgid = thread->tgid;
	to->prio = thread->prio;
	to->go_prio = go_priority(thread);
	to->kernel = thread->flags & PF_KTHREAD ? 1 : 0;
	__builtin_memcpy(to->name, thread->comm, sizeof(to->name));
}

/* Returns an event about a thread, or 0 if there is no room. */
static __always_inline struct event *begin(__u8 kind, __u32 cpu, struct task_struct *thread)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_ns();
	event->cpu = cpu;
	event->kind = kind;
	event->syscall = NO_SYSCALL;
	event->goroutine.p = -1;
	event->other.go_prio = NO_GO_PRIORITY;
	tell_thread(&event->thread, thread);
	return event;
}

/* User space reads the buffer many times a second, so that nobody need be woken. */
static __always_inline void end(struct event *event)
{
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline __u8 throttled(struct task_struct *thread)
{
	struct cfs_rq *queue;

	/* Without CONFIG_FAIR_GROUP_SCHED there are no quotas. */
	if (!bpf_core_field_exists(thread->se.cfs_rq))
		return 0;
	queue = thread->se.cfs_rq;
	if (!bpf_core_field_exists(queue->throttle_count))
		return 0;
	return queue->throttle_count ? EVENT_THROTTLED : 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	__u32 cpu = bpf_get_smp_processor_id();
	bool leaves = prev->tgid == target, comes = next->tgid == target;
	bool sleeps = is_sleep(preempt, prev_state);
	struct event *event;
	struct pt_regs *regs;

	if (!leaves && !comes && !*waiting_on(cpu))
		return 0;
	if (comes)
		dequeue(next);
	if (leaves && !sleeps)
		enqueue(prev, cpu);

	event = begin(EVENT_SWITCH, cpu, prev);
	if (!event)
		return 0;
	if (preempt)
		event->flags |= EVENT_PREEMPTED_IN_KERNEL;
	tell_thread(&event->other, next);
	event->state = sleeps ? prev_state : 0;
	if (leaves) {
		regs = (struct pt_regs *)bpf_task_pt_regs(prev);
		event->syscall = regs->orig_ax;
		event->flags |= throttled(prev);
		if (is_go)
			read_goroutine(&event->goroutine, prev, &layout, read_current);
	}
	end(event);
	return 0;
}

static __always_inline int wake(struct task_struct *thread)
{
	struct task_struct *current;
	struct pt_regs *regs;
	struct event *event;
	__u32 cpu;

	if (thread->tgid != target)
		return 0;
	cpu = thread->thread_info.cpu;
	/* A thread may be woken before it sleeps: it waits for no CPU then. */
	if (!thread->on_cpu)
		enqueue(thread, cpu);

	event = begin(EVENT_WAKEUP, cpu, thread);
	if (!event)
		return 0;
	/* The thread may be awake, and not to run before its group has a new quota. */
	event->flags |= throttled(thread);
	current = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(current);
	/*
	 * Who is in user mode wakes nobody: an interrupt does. One that comes during a system
	 * call is taken for the thread's own work.
	 */
	if ((current->flags & PF_KTHREAD) || (long)regs->orig_ax >= 0)
		tell_thread(&event->other, current);
	end(event);
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

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *thread, int cpu)
{
	__u16 *queue = queued_of(thread);
	struct event *event;

	/* Who is about to be woken is told of then. */
	if (thread->tgid != target || !*queue)
		return 0;
	dequeue(thread);
	enqueue(thread, cpu);
	event = begin(EVENT_MIGRATE, cpu, thread);
	if (event)
		end(event);
	return 0;
}

/* Not there without go_sched in the kernel. */
SEC("?tp_btf/go_sched_apply")
int BPF_PROG(on_priority, struct task_struct *thread, int before, int after, int old_policy,
	     int new_policy)
{
	struct event *event;

	if (thread->tgid != target)
		return 0;
	event = begin(EVENT_PRIORITY, thread->thread_info.cpu, thread);
	if (!event)
		return 0;
	event->thread.go_prio = before;
	event->other.go_prio = after;
	end(event);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (starter && child->pid == child->tgid && parent->tgid == starter) {
		target = child->tgid;
		starter = 0;
	}
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *thread, int old_tid)
{
	struct event *event;

	if (thread->tgid != target)
		return 0;
	/* The next program may not be Go's; user space finds out. */
	is_go = is_go_after_exec;
	is_go_after_exec = 0;
	event = begin(EVENT_EXEC, bpf_get_smp_processor_id(), thread);
	if (!event)
		return 0;
	event->other.tid = old_tid;
	event->other.tgid = thread->tgid;
	end(event);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *thread)
{
	struct event *event;

	if (thread->tgid != target)
		return 0;
	event = begin(EVENT_EXIT, bpf_get_smp_processor_id(), thread);
	if (event)
		end(event);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
