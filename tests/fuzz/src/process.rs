// SPDX-License-Identifier: GPL-2.0

//! The process that runs a program, and the checks after each operation.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::attr::Attr;
use common::child::await_child;
use common::device::Device;
use common::hint::PAGE_SIZE;
use common::state::State;
use common::syscall::result_of;
use common::worker::in_thread;
use common::worker::Worker;
use gosched::sched::SchedPolicy;
use gosched::uapi;
use nix::unistd::fork;
use nix::unistd::ForkResult;
use rustix::io::Errno;
use rustix::process::getpid;
use rustix::process::kill_process;
use rustix::process::pidfd_open;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::thread::sched_yield;

use crate::coverage::Coverage;
use crate::memory::Memory;
use crate::op::Area;
use crate::op::Attributes;
use crate::op::ChildAction;
use crate::op::File;
use crate::op::Ioctl;
use crate::op::Lifetime;
use crate::op::Op;
use crate::op::Pause;
use crate::op::Program;
use crate::op::Slot;
use crate::op::Target;
use crate::op::TargetForm;
use crate::op::TargetThread;
use crate::op::Thread;
use crate::op::FILES;
use crate::tally::Kind;
use crate::tally::Tally;

/// Duration of a spin, in which there is at least one tick.
const SPIN: Duration = Duration::from_millis(2);

/// Context that all processes get.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// User id of the processes.
    pub(crate) user: u32,
    /// Threads that the processes must not change.
    pub(crate) bystanders: &'a [i32],
    pub(crate) tally: &'static Tally,
    /// Trace of each [`Thread`], if the kernel has KCOV.
    pub(crate) coverage: Option<&'static [Coverage; 2]>,
}

/// State of the calling process.
pub(crate) struct Process<'a> {
    context: Context<'a>,
    /// Highest priority that a thread of the process may ever have.
    max_prio: u32,
    /// Device that the checks use, which the program does not.
    observer: Device,
    pub(crate) files: [Device; FILES],
    pub(crate) memory: Memory,
    second: Worker,
    sleeper: Worker,
    children: Vec<i32>,
}

/// Runs a program in the calling process, which cannot run a second program. Panics if a
/// check fails.
pub(crate) fn run(context: Context<'_>, program: &Program) {
    let max_prio = program.role.assume(context.user);
    let mut process = Process {
        context,
        max_prio,
        observer: Device::open(),
        files: std::array::from_fn(|_| Device::open()),
        memory: Memory::new(),
        second: Worker::spawn(),
        sleeper: Worker::spawn(),
        children: Vec::new(),
    };
    if let Some([leaders, seconds]) = context.coverage {
        process.second.run(|| seconds.enable());
        leaders.enable();
    }
    if program.mapped {
        process.map_page(File(0), Area(0)).expect("memory");
    }
    let mut sleeper = process.sleeper_state();
    for op in &program.ops {
        let result = process.perform(op);
        let now = process.sleeper_state();
        if result.is_err() || !op.has_target() {
            assert_eq!(
                now, sleeper,
                "{op:?}: {result:?} changed the sleeping thread"
            );
        }
        sleeper = now;
        process.assert_max_prio(op);
    }
}

impl Op {
    /// Returns whether the operation may change a thread other than the performing
    /// thread.
    fn has_target(&self) -> bool {
        matches!(
            self,
            Self::Ioctl(..) | Self::Syscall(..) | Self::SetAttr(..)
        )
    }
}

impl Process<'_> {
    fn perform(&mut self, op: &Op) -> Result<usize, Errno> {
        match *op {
            Op::Ioctl(by, ioctl) => self.ioctl(by, ioctl),
            Op::Syscall(by, target, flags, value) => {
                let resolved = self.resolve(target);
                let flags = resolved.flags ^ flags.0;
                let number = i64::from(uapi::GO_SCHED_NR_SET_SCHEDPRIO);
                // Which takes no priority.
                let follows = flags & uapi::GO_SCHED_FOLLOW_HINT != 0;
                let value = if follows && value.0 < uapi::GO_SCHED_LEVELS {
                    0
                } else {
                    value.0
                };
                let arguments = [resolved.number as usize, value as usize, flags as usize];
                self.call(by, Kind::Syscall, number, &arguments)
            }
            Op::SetAttr(by, target, attributes) => self.set_attr(by, target, attributes),
            Op::Store(by, area, slot, hint) => self.store(by, area, slot, hint),
            Op::Hint(by, file, slot, hint, pause) => {
                let area = Area(0);
                self.map_page(file, area)?;
                // The thread may be bound to that slot already.
                let _ = self.bind(by, file, slot);
                self.store(by, area, slot, hint)?;
                self.on_thread(by, move || wait(pause));
                Ok(0)
            }
            Op::Memory(op) => self.change_mapping(op),
            Op::Lifetime(Lifetime::Reopen(file)) => {
                self.files[file.0] = Device::open();
                Ok(0)
            }
            Op::Lifetime(Lifetime::Fork(by, action)) => self.fork(by, action),
            Op::Lifetime(Lifetime::BindAndExit(file, slot)) => {
                let file = self.files[file.0].as_fd().as_raw_fd();
                let result = in_thread(move || bind(file, slot));
                self.context.tally.count(Kind::Bind, result);
                result
            }
            Op::Pause(by, pause) => {
                self.on_thread(by, move || wait(pause));
                Ok(0)
            }
        }
    }

    /// Makes a system call and counts its result.
    pub(crate) fn call(
        &self,
        by: Thread,
        kind: Kind,
        number: libc::c_long,
        arguments: &[usize],
    ) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let result = self.on_thread(by, move || {
            let [a, b, c, d, e, f] = all;
            // SAFETY: The callers pass addresses in `Memory`, to which there are no references.
            result_of(unsafe { libc::syscall(number, a, b, c, d, e, f) })
        });
        let result = result.map(|value| value as usize);
        self.context.tally.count(kind, result);
        result
    }

    fn on_thread<R: Send + 'static>(
        &self,
        by: Thread,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        match by {
            Thread::Leader => job(),
            Thread::Second => self.second.run(job),
        }
    }

    fn ioctl(&self, by: Thread, ioctl: Ioctl) -> Result<usize, Errno> {
        let request = ioctl.request.0;
        let kind = Kind::of_request(request);
        let resolved = self.resolve(ioctl.target);
        let flags = match kind {
            Kind::Bind | Kind::ClassInfo => ioctl.flags.0 & !uapi::GO_SCHED_INHERIT,
            Kind::Set => resolved.flags ^ ioctl.flags.0,
            _ => resolved.flags ^ ioctl.flags.0 & !uapi::GO_SCHED_INHERIT,
        };
        let target = resolved.number as u32;
        let (size, words) = match kind {
            Kind::Get => (size_of::<uapi::go_sched_get>(), [target, 0]),
            Kind::Clear => (size_of::<uapi::go_sched_clear>(), [target, 0]),
            Kind::Follow => (size_of::<uapi::go_sched_follow>(), [target, 0]),
            Kind::Bind => (size_of::<uapi::go_sched_bind>(), [ioctl.slot.0, 0]),
            Kind::Stats => (size_of::<uapi::go_sched_stats>(), [target, 0]),
            Kind::ClassInfo => (size_of::<uapi::go_sched_class_info>(), [0, 0]),
            _ => (size_of::<uapi::go_sched_set>(), [target, ioctl.value.0]),
        };
        let size_field = ioctl.size.0.unwrap_or(size as u32);
        let mut page = [0; PAGE_SIZE];
        for (bytes, word) in page
            .chunks_exact_mut(4)
            .zip([size_field, flags, words[0], words[1]])
        {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        if let Some((at, byte)) = ioctl.corruption.0 {
            page[usize::from(at)] ^= byte;
        }
        let address = self.memory.put(ioctl.place, &page, size);
        let file = self.files[ioctl.file.0].as_fd().as_raw_fd();
        let arguments = [file as usize, request as usize, address];
        self.call(by, kind, libc::SYS_ioctl, &arguments)
    }

    fn bind(&self, by: Thread, file: File, slot: Slot) -> Result<usize, Errno> {
        let file = self.files[file.0].as_fd().as_raw_fd();
        let result = self.on_thread(by, move || bind(file, slot));
        self.context.tally.count(Kind::Bind, result);
        result
    }

    fn set_attr(&self, by: Thread, target: Target, attributes: Attributes) -> Result<usize, Errno> {
        let mut attr = Attr::normal(i32::from(attributes.nice % 20));
        attr.0.policy = SchedPolicy::from_number(attributes.policy.0);
        if [libc::SCHED_FIFO, libc::SCHED_RR].contains(&attr.policy()) {
            attr.0.rt_priority = u32::from(attributes.rt_priority % 8);
        }
        attr.0.flags = attributes.flags.0;
        attr.0.runtime_ns = u64::from(attributes.slice_ns);
        let tid = self.tid(target.thread);
        let result = self.on_thread(by, move || attr.try_apply(tid).map(|()| 0));
        self.context.tally.count(Kind::SetAttr, result);
        result
    }

    fn fork(&mut self, by: Thread, action: ChildAction) -> Result<usize, Errno> {
        let child = self.on_thread(by, move || {
            // SAFETY: The child makes system calls and nothing else.
            match unsafe { fork() }.map_err(|error| Errno::from_raw_os_error(error as i32))? {
                ForkResult::Child => run_child(action),
                ForkResult::Parent { child } => Ok(child.as_raw()),
            }
        })?;
        self.children.push(child);
        Ok(0)
    }

    /// Returns the id of a thread, or the number that stands for one.
    fn tid(&self, thread: TargetThread) -> i32 {
        match thread {
            TargetThread::Caller => 0,
            TargetThread::Leader => getpid().as_raw_pid(),
            TargetThread::Second => self.second.tid(),
            TargetThread::Sleeper => self.sleeper.tid(),
            TargetThread::Child => self.children.last().copied().unwrap_or(i32::MAX),
            TargetThread::Bystander(index) => {
                let bystanders = self.context.bystanders;
                bystanders[usize::from(index) % bystanders.len()]
            }
            TargetThread::Any(number) => number,
        }
    }

    fn resolve(&self, target: Target) -> ResolvedTarget {
        let tid = self.tid(target.thread);
        if let TargetForm::Tid = target.form {
            return ResolvedTarget {
                number: tid,
                flags: 0,
                pidfd: None,
            };
        }
        let pidfd_flags = match target.thread {
            TargetThread::Second | TargetThread::Sleeper => {
                PidfdFlags::from_bits_retain(libc::PIDFD_THREAD)
            }
            _ => PidfdFlags::empty(),
        };
        let pidfd = match target.thread {
            TargetThread::Any(_) => None,
            _ => Pid::from_raw(tid).and_then(|tid| pidfd_open(tid, pidfd_flags).ok()),
        };
        ResolvedTarget {
            number: pidfd.as_ref().map_or(tid, AsRawFd::as_raw_fd),
            flags: uapi::GO_SCHED_TARGET_PIDFD,
            pidfd,
        }
    }

    fn sleeper_state(&self) -> State {
        State::of(&self.observer, self.sleeper.tid())
    }

    /// Checks that no thread has, or may have, a priority above that of the role.
    fn assert_max_prio(&self, op: &Op) {
        let own = [getpid().as_raw_pid(), self.second.tid(), self.sleeper.tid()];
        for tid in own {
            let state = State::of(&self.observer, tid);
            let record = state.record;
            let highest = [
                Some(prio_of(&state.attr)),
                Some(record.ceiling),
                record.prio,
                record.applied,
            ];
            assert!(
                highest
                    .into_iter()
                    .flatten()
                    .all(|prio| prio <= self.max_prio),
                "{op:?} brought thread {tid} above {}: {state:?}",
                self.max_prio
            );
        }
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        for child in self.children.drain(..).filter_map(Pid::from_raw) {
            // The child may have ended by itself.
            let _ = kill_process(child, Signal::KILL);
            await_child(child.as_raw_pid());
        }
    }
}

/// A target in the form that a request takes.
struct ResolvedTarget {
    number: i32,
    flags: u32,
    /// Keeps the file descriptor `number` open.
    #[expect(dead_code, reason = "it is held, not read")]
    pidfd: Option<OwnedFd>,
}

/// Returns the lowest priority of the band and nice value of `attr`, or `u32::MAX` for an
/// unknown policy.
fn prio_of(attr: &Attr) -> u32 {
    match attr.policy() {
        libc::SCHED_IDLE => 0,
        libc::SCHED_OTHER | libc::SCHED_BATCH => 32_u32.saturating_add_signed(-attr.0.nice),
        libc::SCHED_FIFO | libc::SCHED_RR => 47 + attr.0.rt_priority,
        _ => u32::MAX,
    }
}

fn bind(file: RawFd, slot: Slot) -> Result<usize, Errno> {
    let mut bind = uapi::go_sched_bind {
        size: size_of::<uapi::go_sched_bind>() as u32,
        flags: 0,
        slot: slot.0,
    };
    let request = libc::Ioctl::from(uapi::GO_SCHED_BIND);
    // SAFETY: `bind` lives across the call.
    let result = unsafe { libc::ioctl(file, request, &raw mut bind) };
    result_of(result.into()).map(|_| 0)
}

fn wait(pause: Pause) {
    match pause {
        Pause::Yield => sched_yield(),
        Pause::Sleep => thread::sleep(Duration::from_micros(100)),
        Pause::Spin => {
            let start = Instant::now();
            while start.elapsed() < SPIN {
                std::hint::spin_loop();
            }
        }
    }
}

/// Runs the child of a fork, a process with one thread.
fn run_child(action: ChildAction) -> ! {
    let program = c"/bin/true";
    let arguments = [program.as_ptr(), std::ptr::null()];
    // SAFETY: The strings and the array outlive the calls, and signal-safety(7) allows these
    // calls in the child of a process with threads.
    unsafe {
        match action {
            ChildAction::Exit => {}
            ChildAction::Exec => {
                libc::execv(program.as_ptr(), arguments.as_ptr());
            }
            ChildAction::Sleep => loop {
                libc::pause();
            },
        }
        libc::_exit(0)
    }
}
