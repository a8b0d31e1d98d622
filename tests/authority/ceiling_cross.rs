// SPDX-License-Identifier: GPL-2.0

//! The permission to give a thread a priority, for all kinds of callers, threads, limits
//! and bases. A caller has the permission where `sched_setattr(2)` lets the caller give
//! the same parameters to the thread without a priority. A caller with the user id of the
//! thread has it up to a granted ceiling too.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::mem;
use std::os::unix::net::UnixStream;

use common::attr::Attr;
use common::child::become_user;
use common::child::become_user_in_thread;
use common::child::become_user_with_sys_nice_in_thread;
use common::child::set_limit;
use common::child::unshare;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::module::Reconfigured;
use common::state::State;
use common::syscall::set_schedprio;
use common::worker::Worker;
use common::DEADLINE;
use common::OTHER_USER;
use common::USER;
use go_sched_policy::Policy;
use go_sched_policy::TABLE;
use gosched::uapi::GO_SCHED_PRIO_NONE;
use rustix::io::Errno;
use rustix::process::set_dumpable_behavior;
use rustix::process::DumpableBehavior;
use rustix::process::Resource;
use rustix::thread::gettid;
use rustix::thread::UnshareFlags;

/// The caller of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Root,
    /// The user of the threads. The threads have limits of their own.
    Owner,
    OtherUser,
    /// Another user with `CAP_SYS_NICE` and no other capability.
    Nicer,
    /// The owner, as root of a user namespace.
    NamespaceRoot,
}

/// `RLIMIT_NICE` of the threads; 20 allows what they have.
const NICE_LIMITS: [u64; 4] = [0, 20, 25, 40];

/// `RLIMIT_RTPRIO` of the threads.
const RTPRIO_LIMITS: [u64; 4] = [0, 1, 5, 99];

/// Returns callers with limits of the threads: all limits where the limits may decide.
fn callers() -> Vec<(Caller, u64, u64)> {
    let mut callers = vec![
        (Caller::Root, 0, 0),
        (Caller::Nicer, 0, 0),
        (Caller::OtherUser, 0, 0),
        (Caller::OtherUser, 40, 99),
    ];
    for nice in NICE_LIMITS {
        for rtprio in RTPRIO_LIMITS {
            callers.push((Caller::Owner, nice, rtprio));
            callers.push((Caller::NamespaceRoot, nice, rtprio));
        }
    }
    callers
}

/// The thread that a request is about. The threads but the caller's own are the user's.
#[derive(Clone, Copy, Debug)]
enum Target {
    Own,
    /// A thread of the caller's process.
    Thread,
    /// The main thread of another process.
    Process,
}

const TARGETS: [Target; 3] = [Target::Own, Target::Thread, Target::Process];

/// Returns the bases: what a thread has without a priority.
fn bases() -> [Attr; 8] {
    [
        Attr::normal(0),
        Attr::normal(5),
        Attr::batch(0),
        Attr::idle(),
        Attr::fifo(1),
        Attr::fifo(3),
        Attr::rr(1),
        Attr::rr(5),
    ]
}

/// The ceiling that root has granted the thread: none, a ceiling between priorities that
/// the thread may own, and a ceiling above most of what the thread owns.
const GRANTS: [Option<u32>; 3] = [None, Some(40), Some(62)];

/// The priority that root has given the thread before: none, and a priority of each band.
const BEFORE: [Option<u32>; 4] = [None, Some(2), Some(20), Some(60)];

/// The priority asked for: at and just above all that the bases, the limits and the
/// grants allow, and the ends of the bands. Such a priority lowers, restores or raises
/// the thread.
const WANTED: [u32; 20] = [
    3, 4, 15, 16, 27, 28, 32, 33, 37, 38, 40, 41, 47, 48, 49, 50, 51, 52, 53, 63,
];

/// Combinations of device or system call with [`BEFORE`]. Each request comes once for a
/// caller, a thread, a base and a grant, with the next combination. As the number of
/// requests is odd, each request has had all combinations when a caller is through.
const TURNS: usize = 2 * BEFORE.len();

/// A request of a caller to change a thread.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Set(u32),
    Syscall(u32),
    Clear,
    Setattr(Attr),
}

impl Request {
    fn issue(self, device: &Device, tid: i32) -> Result<(), Errno> {
        match self {
            Self::Set(prio) => device.try_set(tid, prio, 0),
            Self::Syscall(prio) => set_schedprio(tid, prio, 0),
            Self::Clear => device.try_clear(tid, 0),
            Self::Setattr(attr) => attr.try_apply(tid),
        }
    }
}

/// Returns the attributes for `sched_setattr(2)` that are equivalent to a priority.
fn equivalent(prio: u32, base: Attr) -> Attr {
    let level = &TABLE[prio as usize];
    match level.policy {
        // That policy has one weight. More is a step out of it.
        Policy::Idle if base.policy() == libc::SCHED_IDLE && level.weight > 3 << 10 => {
            Attr::normal(base.0.nice)
        }
        Policy::Idle => Attr::idle(),
        Policy::Normal => Attr::normal(level.nice),
        Policy::RoundRobin => Attr::rr(level.rt_priority).nice(level.nice),
    }
}

/// Returns all requests.
fn requests() -> Vec<Request> {
    let mut requests = vec![Request::Clear];
    for prio in WANTED {
        requests.extend([Request::Set(prio), Request::Syscall(prio)]);
        requests.extend(bases().map(|base| Request::Setattr(equivalent(prio, base))));
    }
    requests
}

/// The process of a caller, and the threads that its requests are about.
struct CallerProcess {
    _caller: Child,
    /// Another process of the user.
    other: Child,
    own: i32,
    thread: i32,
    requests: Vec<Request>,
    socket: UnixStream,
}

impl CallerProcess {
    fn new(caller: Caller, nice: u64, rtprio: u64) -> Self {
        let limit = || {
            set_limit(Resource::Nice, nice);
            set_limit(Resource::Rtprio, rtprio);
        };
        let requests = requests();
        let (mut socket, far) = UnixStream::pair().expect("a pair of sockets");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self {
            other: Child::sleeping(|| {
                limit();
                become_user(USER);
            }),
            _caller: Child::sleeping(|| {
                limit();
                serve(caller, requests.clone(), far);
            }),
            own: receive(&mut socket).expect("a thread id"),
            thread: receive(&mut socket).expect("a thread id"),
            requests,
            socket,
        }
    }

    fn tid(&self, target: Target) -> i32 {
        match target {
            Target::Own => self.own,
            Target::Thread => self.thread,
            Target::Process => self.other.pid(),
        }
    }

    /// Has the caller issue a request.
    fn ask(&mut self, request: Request, tid: i32) -> Result<(), Errno> {
        let index = self.requests.iter().position(|one| *one == request);
        send(&mut self.socket, index.expect("one of all requests") as i32);
        send(&mut self.socket, tid);
        match receive(&mut self.socket).expect("an answer") {
            0 => Ok(()),
            error => Err(Errno::from_raw_os_error(error)),
        }
    }
}

fn send(socket: &mut UnixStream, number: i32) {
    socket.write_all(&number.to_ne_bytes()).expect("a listener");
}

fn receive(socket: &mut UnixStream) -> Option<i32> {
    let mut bytes = [0; 4];
    socket.read_exact(&mut bytes).ok()?;
    Some(i32::from_ne_bytes(bytes))
}

/// Makes the calling process, root's, that of a caller, and issues the requests that
/// come by the socket.
fn serve(caller: Caller, requests: Vec<Request>, mut socket: UnixStream) {
    let device = Device::open();
    if caller == Caller::NamespaceRoot {
        become_user(USER);
        unshare(UnshareFlags::NEWUSER);
        // Without this, the files of a process that changed its user are root's.
        set_dumpable_behavior(DumpableBehavior::Dumpable).expect("anybody may");
        fs::write("/proc/self/uid_map", format!("0 {USER} 1")).expect("a map of oneself");
    }
    let (own, thread) = (Worker::spawn(), Worker::spawn());
    if caller != Caller::NamespaceRoot {
        thread.run(|| become_user_in_thread(USER));
    }
    own.run(move || match caller {
        Caller::Root | Caller::NamespaceRoot => (),
        Caller::Owner => become_user_in_thread(USER),
        Caller::OtherUser => become_user_in_thread(OTHER_USER),
        Caller::Nicer => become_user_with_sys_nice_in_thread(OTHER_USER),
    });
    send(&mut socket, own.tid());
    send(&mut socket, thread.tid());
    own.start(move || {
        while let (Some(index), Some(tid)) = (receive(&mut socket), receive(&mut socket)) {
            let tid = if tid == gettid().as_raw_pid() {
                SELF
            } else {
                tid
            };
            let result = requests[index as usize].issue(&device, tid);
            send(&mut socket, result.map_or_else(Errno::raw_os_error, |()| 0));
        }
    });
    // They live as long as the process.
    mem::forget((own, thread));
}

/// Gives a thread a base, including the nice value that the policy does not use.
fn rebase(tid: i32, base: Attr) {
    Attr::normal(base.0.nice).apply(tid);
    base.apply(tid);
}

/// Returns whether `sched_setattr(2)` lets the caller change a thread. Afterwards, the
/// thread has its base again.
fn is_allowed_outside(
    process: &mut CallerProcess,
    device: &Device,
    tid: i32,
    base: Attr,
    wanted: Attr,
) -> bool {
    let before = State::of(device, tid);
    let result = process.ask(Request::Setattr(wanted), tid);
    assert!(matches!(result, Ok(()) | Err(Errno::PERM)), "{result:?}");
    rebase(tid, base);
    assert_eq!(State::of(device, tid), before);
    result.is_ok()
}

/// Tries a request on a thread at the priority `before`. Returns a description of a wrong
/// result. Afterwards, the thread has no priority.
fn try_cell(
    process: &mut CallerProcess,
    device: &Device,
    tid: i32,
    before: Option<u32>,
    request: Request,
    allowed: bool,
) -> Option<String> {
    let base = State::of(device, tid);
    if let Some(prio) = before {
        device.set(tid, prio);
    }
    let start = State::of(device, tid);
    let result = process.ask(request, tid);
    let end = State::of(device, tid);
    device.clear(tid);
    assert_eq!(State::of(device, tid), base, "{request:?} from {before:?}");

    let wanted = match request {
        Request::Set(prio) | Request::Syscall(prio) => Some(prio),
        Request::Clear | Request::Setattr(_) => None,
    };
    let is_right = match result {
        Ok(()) => allowed && end.record.prio == wanted && end.record.base == base.record.base,
        Err(error) => !allowed && error == Errno::PERM && end == start,
    };
    (!is_right).then(|| format!("{request:?}: {result:?}, {start:?} -> {end:?}"))
}

/// Returns the priorities of [`WANTED`] that `sched_setattr(2)` lets the caller ask for.
fn allowed_outside(process: &mut CallerProcess, device: &Device, tid: i32, base: Attr) -> Vec<u32> {
    let mut allowed = WANTED.to_vec();
    allowed.retain(|prio| is_allowed_outside(process, device, tid, base, equivalent(*prio, base)));
    allowed
}

#[test]
fn a_request_is_allowed_as_sched_setattr_is_and_to_the_owner_up_to_a_granted_ceiling() {
    // Or, on a host that takes CPUs away, a thread may seem to run away.
    let _unlimited = Reconfigured::unlimited();
    let device = Device::open();
    let mut wrong = Vec::new();
    let (mut allowed_cells, mut refused_cells) = (0, 0);

    for (caller, nice, rtprio) in callers() {
        let mut process = CallerProcess::new(caller, nice, rtprio);
        let mut turns = (0..TURNS).cycle();
        for target in TARGETS {
            let tid = process.tid(target);
            let owns = matches!(
                (caller, target),
                (Caller::Owner | Caller::NamespaceRoot, _) | (_, Target::Own)
            );
            let may_clear = owns || matches!(caller, Caller::Root | Caller::Nicer);
            for base in bases() {
                rebase(tid, base);
                let outside = allowed_outside(&mut process, &device, tid, base);
                for grant in GRANTS {
                    let ceiling = grant.map_or(GO_SCHED_PRIO_NONE, |grant| grant as i32);
                    device.ceiling(tid, ceiling);
                    for wanted in WANTED.map(Some).into_iter().chain([None]) {
                        let turn = turns.next().expect("there is always a next one");
                        let before = BEFORE[turn / 2];
                        let (request, allowed) = match wanted {
                            Some(prio) => (
                                if turn % 2 == 0 {
                                    Request::Set(prio)
                                } else {
                                    Request::Syscall(prio)
                                },
                                outside.contains(&prio)
                                    || owns && grant.is_some_and(|grant| prio <= grant),
                            ),
                            None => (Request::Clear, may_clear),
                        };
                        let error = try_cell(&mut process, &device, tid, before, request, allowed);
                        wrong.extend(error.map(|error| {
                            format!(
                                "{caller:?} with limits {nice} and {rtprio}, {target:?}, \
                                 base {base:?}, granted {grant:?}, before {before:?}, \
                                 allowed {allowed}: {error}"
                            )
                        }));
                        if allowed {
                            allowed_cells += 1;
                        } else {
                            refused_cells += 1;
                        }
                    }
                }
                device.ceiling(tid, GO_SCHED_PRIO_NONE);
            }
        }
    }

    let requests = WANTED.len() + ["CLEAR"].len();
    assert!(requests % 2 == 1 && TURNS.is_power_of_two());
    let cells = callers().len() * TARGETS.len() * bases().len() * GRANTS.len() * requests;
    println!("{cells} cells: {allowed_cells} allowed, {refused_cells} refused");
    assert_eq!(allowed_cells + refused_cells, cells);
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
