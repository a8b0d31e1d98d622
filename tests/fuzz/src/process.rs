// SPDX-License-Identifier: GPL-2.0

//! The process that runs a program, and what must hold after each of its steps.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::attr::Attr;
use common::device::Device;
use common::hint::PAGE_SIZE;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use gosched::uapi;
use nix::errno::Errno;
use nix::sched::sched_yield;
use nix::sys::signal::kill;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::getpid;
use nix::unistd::Pid;

use crate::coverage::Coverage;
use crate::memory::Memory;
use crate::op::Actor;
use crate::op::Area;
use crate::op::Attributes;
use crate::op::Fate;
use crate::op::File;
use crate::op::How;
use crate::op::Ioctl;
use crate::op::Lifetime;
use crate::op::Op;
use crate::op::Pastime;
use crate::op::Program;
use crate::op::Slot;
use crate::op::Target;
use crate::op::Whom;
use crate::op::FILES;
use crate::tally::Kind;
use crate::tally::Tally;

/// How long a thread spins: at least one tick falls into that.
const SPIN: Duration = Duration::from_millis(2);

/// What is given to all processes.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    /// The user that the processes are.
    pub(crate) user: u32,
    /// Threads that they must not change.
    pub(crate) bystanders: &'a [i32],
    pub(crate) tally: &'static Tally,
    /// One record for each [`Actor`], if there are any.
    pub(crate) coverage: Option<&'static [Coverage; 2]>,
}

/// The calling process and what it has.
pub(crate) struct Process<'a> {
    world: World<'a>,
    /// No thread may ever be above this.
    bound: u32,
    /// For looking at threads, apart from those that the program plays with.
    observer: Device,
    pub(crate) files: [Device; FILES],
    pub(crate) memory: Memory,
    second: Worker,
    sleeper: Worker,
    children: Vec<i32>,
}

/// Runs a program in the calling process, for good. Panics if something does
/// not hold.
pub(crate) fn run(world: World<'_>, program: &Program) {
    let bound = program.role.assume(world.user);
    let mut process = Process {
        world,
        bound,
        observer: Device::open(),
        files: std::array::from_fn(|_| Device::open()),
        memory: Memory::new(),
        second: Worker::spawn(),
        sleeper: Worker::spawn(),
        children: Vec::new(),
    };
    if let Some([leaders, seconds]) = world.coverage {
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
        process.assert_bound(op);
    }
}

impl Op {
    /// Whether its success may change a thread other than its own.
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
                let named = self.name(target);
                let flags = named.flags ^ flags.0;
                let number = i64::from(uapi::GO_SCHED_NR_SET_SCHEDPRIO);
                let arguments = [named.number as usize, value.0 as usize, flags as usize];
                self.call(by, Kind::Syscall, number, &arguments)
            }
            Op::SetAttr(by, target, attributes) => self.set_attr(by, target, attributes),
            Op::Store(by, area, slot, hint) => self.store(by, area, slot, hint),
            Op::Hint(by, file, slot, hint, pastime) => {
                let area = Area(0);
                self.map_page(file, area)?;
                // It may be bound there already.
                let _ = self.bind(by, file, slot);
                self.store(by, area, slot, hint)?;
                self.as_actor(by, move || pass(pastime));
                Ok(0)
            }
            Op::Memory(op) => self.change_mapping(op),
            Op::Lifetime(Lifetime::Reopen(file)) => {
                self.files[file.0] = Device::open();
                Ok(0)
            }
            Op::Lifetime(Lifetime::Fork(by, fate)) => self.fork(by, fate),
            Op::Lifetime(Lifetime::BindAndExit(file, slot)) => {
                let file = self.files[file.0].as_fd().as_raw_fd();
                let result = in_thread(move || bind(file, slot));
                self.world.tally.count(Kind::Bind, result);
                result
            }
            Op::Pass(by, pastime) => {
                self.as_actor(by, move || pass(pastime));
                Ok(0)
            }
        }
    }

    /// Issues a system call and counts how it ends.
    pub(crate) fn call(
        &self,
        by: Actor,
        kind: Kind,
        number: libc::c_long,
        arguments: &[usize],
    ) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let result = self.as_actor(by, move || {
            let [a, b, c, d, e, f] = all;
            // SAFETY: What the calls write to is `Memory`'s.
            Errno::result(unsafe { libc::syscall(number, a, b, c, d, e, f) })
        });
        let result = result.map(|value| value as usize);
        self.world.tally.count(kind, result);
        result
    }

    fn as_actor<R: Send + 'static>(
        &self,
        by: Actor,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        match by {
            Actor::Leader => job(),
            Actor::Second => self.second.run(job),
        }
    }

    fn ioctl(&self, by: Actor, ioctl: Ioctl) -> Result<usize, Errno> {
        let request = ioctl.request.0;
        let kind = Kind::of_request(request);
        let named = self.name(ioctl.target);
        let flags = match kind {
            Kind::Bind | Kind::ClassInfo => ioctl.flags.0 & !uapi::GO_SCHED_INHERIT,
            Kind::Set => named.flags ^ ioctl.flags.0,
            _ => named.flags ^ ioctl.flags.0 & !uapi::GO_SCHED_INHERIT,
        };
        let target = named.number as u32;
        let (size, words) = match kind {
            Kind::Get => (size_of::<uapi::go_sched_get>(), [target, 0]),
            Kind::Clear => (size_of::<uapi::go_sched_clear>(), [target, 0]),
            Kind::Bind => (size_of::<uapi::go_sched_bind>(), [ioctl.slot.0, 0]),
            Kind::Stats => (size_of::<uapi::go_sched_stats>(), [target, 0]),
            Kind::ClassInfo => (size_of::<uapi::go_sched_class_info>(), [0, 0]),
            _ => (size_of::<uapi::go_sched_set>(), [target, ioctl.value.0]),
        };
        let said = ioctl.size.0.unwrap_or(size as u32);
        let mut page = [0; PAGE_SIZE];
        for (bytes, word) in page
            .chunks_exact_mut(4)
            .zip([said, flags, words[0], words[1]])
        {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        if let Some((at, byte)) = ioctl.damage.0 {
            page[usize::from(at)] ^= byte;
        }
        let address = self.memory.put(ioctl.place, &page, size);
        let file = self.files[ioctl.file.0].as_fd().as_raw_fd();
        let arguments = [file as usize, request as usize, address];
        self.call(by, kind, libc::SYS_ioctl, &arguments)
    }

    fn bind(&self, by: Actor, file: File, slot: Slot) -> Result<usize, Errno> {
        let file = self.files[file.0].as_fd().as_raw_fd();
        let result = self.as_actor(by, move || bind(file, slot));
        self.world.tally.count(Kind::Bind, result);
        result
    }

    fn set_attr(&self, by: Actor, target: Target, attributes: Attributes) -> Result<usize, Errno> {
        let mut attr = Attr::normal(i32::from(attributes.nice % 20));
        attr.v0.sched_policy = attributes.policy.0;
        if [libc::SCHED_FIFO, libc::SCHED_RR].contains(&attr.policy()) {
            attr.v0.sched_priority = u32::from(attributes.rt_priority % 8);
        }
        attr.v0.sched_flags = attributes.flags.0;
        attr.v0.sched_runtime = u64::from(attributes.slice_ns);
        let tid = self.tid(target.whom);
        let result = self.as_actor(by, move || attr.try_apply(tid).map(|()| 0));
        self.world.tally.count(Kind::SetAttr, result);
        result
    }

    fn fork(&mut self, by: Actor, fate: Fate) -> Result<usize, Errno> {
        let child = self.as_actor(by, move || {
            // SAFETY: The child makes system calls and nothing else.
            match unsafe { libc::fork() } {
                0 => be_child(fate),
                pid => Errno::result(pid),
            }
        })?;
        self.children.push(child);
        Ok(0)
    }

    /// The id of a thread, or what stands for it.
    fn tid(&self, whom: Whom) -> i32 {
        match whom {
            Whom::Caller => 0,
            Whom::Leader => getpid().as_raw(),
            Whom::Second => self.second.tid(),
            Whom::Sleeper => self.sleeper.tid(),
            Whom::Child => self.children.last().copied().unwrap_or(i32::MAX),
            Whom::Bystander(index) => {
                let bystanders = self.world.bystanders;
                bystanders[usize::from(index) % bystanders.len()]
            }
            Whom::Any(number) => number,
        }
    }

    fn name(&self, target: Target) -> Named {
        let tid = self.tid(target.whom);
        if let How::Tid = target.how {
            return Named {
                number: tid,
                flags: 0,
                pidfd: None,
            };
        }
        let pidfd_flags = match target.whom {
            Whom::Second | Whom::Sleeper => libc::PIDFD_THREAD,
            _ => 0,
        };
        let pidfd = match target.whom {
            Whom::Any(_) => None,
            // SAFETY: The call takes no pointer.
            _ => Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, tid, pidfd_flags) })
                // SAFETY: The file descriptor is new.
                .map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
                .ok(),
        };
        Named {
            number: pidfd.as_ref().map_or(tid, AsRawFd::as_raw_fd),
            flags: uapi::GO_SCHED_TARGET_PIDFD,
            pidfd,
        }
    }

    fn sleeper_state(&self) -> State {
        State::of(&self.observer, self.sleeper.tid())
    }

    /// No thread is, or may get, above what the role gives.
    fn assert_bound(&self, op: &Op) {
        let own = [getpid().as_raw(), self.second.tid(), self.sleeper.tid()];
        for tid in own {
            let state = State::of(&self.observer, tid);
            let record = state.record;
            let highest = [
                Some(rank(&state.attr)),
                Some(record.ceiling),
                record.prio,
                record.applied,
            ];
            assert!(
                highest.into_iter().flatten().all(|prio| prio <= self.bound),
                "{op:?} brought thread {tid} above {}: {state:?}",
                self.bound
            );
        }
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        for child in self.children.drain(..).map(Pid::from_raw) {
            // It may have ended of itself.
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
        }
    }
}

/// A target as a request has it.
struct Named {
    number: i32,
    flags: u32,
    /// Keeps the file descriptor open that `number` is.
    #[expect(dead_code, reason = "it is held, not read")]
    pidfd: Option<OwnedFd>,
}

/// The lowest priority that stands for attributes, or higher than any.
fn rank(attr: &Attr) -> u32 {
    match attr.policy() {
        libc::SCHED_IDLE => 0,
        libc::SCHED_OTHER | libc::SCHED_BATCH => 32_u32.saturating_add_signed(-attr.v0.sched_nice),
        libc::SCHED_FIFO | libc::SCHED_RR => 47 + attr.v0.sched_priority,
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
    Errno::result(result).map(|_| 0)
}

fn pass(pastime: Pastime) {
    match pastime {
        Pastime::Yield => sched_yield().expect("it always succeeds"),
        Pastime::Nap => thread::sleep(Duration::from_micros(100)),
        Pastime::Spin => {
            let start = Instant::now();
            while start.elapsed() < SPIN {
                std::hint::spin_loop();
            }
        }
    }
}

/// What a forked process, which has one thread of those it was copied from, does.
fn be_child(fate: Fate) -> ! {
    let program = c"/bin/true";
    let arguments = [program.as_ptr(), std::ptr::null()];
    // SAFETY: The strings and the array live for ever, and the calls are safe in
    // the child of a process with threads.
    unsafe {
        match fate {
            Fate::Exit => {}
            Fate::Exec => {
                libc::execv(program.as_ptr(), arguments.as_ptr());
            }
            Fate::Sleep => loop {
                libc::pause();
            },
        }
        libc::_exit(0)
    }
}
