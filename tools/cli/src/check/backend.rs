// SPDX-License-Identifier: GPL-2.0

//! Checks which interface of the kernel a program would get, such as one that lets the Go
//! package choose. As that package does, the check tries no system call under a filter of
//! system calls: a filter may end a program for a call that the filter does not know.

use std::io;

use gosched::policy::GoPrio;
use gosched::raw::set_schedprio;
use gosched::sched::SchedAttr;
use gosched::sched::SchedPolicy;
use gosched::thread::check_proc;
use gosched::Device;
use procfs::process::Process;
use rustix::process::getrlimit;
use rustix::process::Resource;

use super::finding::Finding;

const CHECK: &str = "backend";

/// The best interface that works for this user.
#[derive(Debug)]
enum Backend {
    Device,
    SystemCall,
    /// `sched_setattr(2)`.
    SetAttr(Return),
    /// None was tried, because of a filter of system calls.
    Untried,
    /// None works, as `/proc` is missing or that of another pid namespace: without the device,
    /// a program reads it to tell threads apart.
    NoProc,
    None(io::Error),
}

/// The way back of a lowered thread, by `sched_setattr(2)`.
#[derive(Debug)]
struct Return {
    /// True if the thread gets back to where it was before it was lowered.
    works: bool,
    /// The attributes to come back to.
    base: SchedAttr,
    /// `RLIMIT_NICE`: 20 minus the lowest nice value that it allows, or `None` for no limit.
    limit: Option<u64>,
}

pub(super) fn backend(device_opens: bool) -> Finding {
    let backend = match check_proc() {
        _ if device_opens => Backend::Device,
        Err(_) => Backend::NoProc,
        Ok(()) => Backend::find(is_filtered()),
    };
    finding(&backend)
}

/// Returns whether a filter of system calls is in force, or may be.
fn is_filtered() -> bool {
    /// `SECCOMP_MODE_FILTER`, see proc_pid_status(5).
    const FILTER: u32 = 2;

    let status = Process::myself().and_then(|process| process.status());
    status.map_or(true, |status| status.seccomp == Some(FILTER))
}

impl Backend {
    /// Tries the interfaces on this thread, which has its attributes again afterwards unless
    /// `sched_setattr(2)` cannot bring it back.
    fn find(is_filtered: bool) -> Self {
        if is_filtered {
            return Self::Untried;
        }
        let base = match SchedAttr::of(0) {
            Ok(base) => base,
            Err(error) => return Self::None(error),
        };
        if set_schedprio(0, GoPrio::MIN.get(), 0).is_ok() {
            // Ends the priority, and is allowed what the thread had before.
            let _ = base.apply(0);
            return Self::SystemCall;
        }
        match lowered(&base).apply(0) {
            Ok(()) => Self::SetAttr(Return {
                works: base.apply(0).is_ok(),
                base,
                limit: getrlimit(Resource::Nice).current,
            }),
            Err(error) => Self::None(error),
        }
    }
}

/// Returns the attributes of a lowered thread, which were `base` before.
fn lowered(base: &SchedAttr) -> SchedAttr {
    let mut lowered = SchedAttr::new(SchedPolicy::IDLE);
    // Taking SCHED_FLAG_RESET_ON_FORK away takes CAP_SYS_NICE.
    lowered.flags = base.flags;
    lowered
}

fn finding(backend: &Backend) -> Finding {
    match backend {
        Backend::Device => Finding::ok(CHECK, format!("programs get {}", Device::PATH)),
        Backend::SystemCall => Finding::warn(
            CHECK,
            "programs get go_set_schedprio(2), which has neither ceilings nor hints",
            format!("let this user open {}", Device::PATH),
        ),
        Backend::SetAttr(back) if back.works => Finding::warn(
            CHECK,
            format!(
                "programs get sched_setattr(2), without go_sched: a lowered thread may come back, {}",
                match back.limit {
                    _ if back.base.policy == SchedPolicy::IDLE => "it was SCHED_IDLE before".to_owned(),
                    Some(limit) if limit > 0 => format!("RLIMIT_NICE is {limit}"),
                    _ => "CAP_SYS_NICE allows it".to_owned(),
                }
            ),
            "put right what fails above, to have ceilings and hints",
        ),
        Backend::SetAttr(back) => {
            // What the kernel compares a nice value with, see setrlimit(2).
            let needed = 20 - back.base.nice;
            // Leaving SCHED_IDLE takes RLIMIT_NICE, whatever it is left for.
            let (limit, setting, option) = match back.base.rt_priority {
                0 => Default::default(),
                prio => (
                    format!(", and RLIMIT_RTPRIO of {prio}"),
                    format!(" and LimitRTPRIO={prio}"),
                    format!(" -r {prio}"),
                ),
            };
            Finding::warn(
                CHECK,
                format!(
                    "programs get sched_setattr(2), without go_sched, and no lowered thread may come back: \
                     RLIMIT_NICE is {}, and it takes {needed}{limit}",
                    back.limit.unwrap_or_default()
                ),
                format!(
                    "put right what fails above; or set LimitNICE={needed}{setting} in the unit of the \
                     service, or \"ulimit -e {needed}{option}\" as root"
                ),
            )
        }
        Backend::Untried => Finding::unknown(
            CHECK,
            "unknown whether programs get a system call: none is tried under a filter of system calls, \
             which might end the program that tries",
            format!("let this user open {}, or check without the filter", Device::PATH),
        ),
        Backend::NoProc => Finding::fail(
            CHECK,
            "programs get none: there is no /proc of this pid namespace to tell threads apart by",
            "run \"mount -t proc proc /proc\" as root in a mount namespace of this one, see unshare(1)",
        ),
        Backend::None(error) => Finding::fail(
            CHECK,
            format!("programs get none: sched_setattr(2) is refused too: {error}"),
            "have the filter of system calls, or the security module, allow it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_explained;
    use super::*;

    fn come_back(works: bool, nice: i32, limit: Option<u64>) -> Finding {
        let mut base = SchedAttr::new(SchedPolicy::OTHER);
        base.nice = nice;
        finding(&Backend::SetAttr(Return { works, base, limit }))
    }

    #[test]
    fn a_limit_that_keeps_threads_down_is_named_with_the_one_it_takes() {
        let kept = come_back(false, 0, Some(0));
        assert_eq!(kept.verdict.label(), "warn");
        assert_explained(&kept);
        assert!(
            kept.detail.contains("RLIMIT_NICE is 0, and it takes 20"),
            "{}",
            kept.detail
        );
        let advice = kept.advice.expect("what to do");
        assert!(advice.contains("LimitNICE=20 "), "{advice}");
        let advice = come_back(false, -5, Some(20)).advice.expect("what to do");
        assert!(advice.contains("LimitNICE=25 "), "{advice}");
        let (works, mut base, limit) = (false, SchedAttr::new(SchedPolicy::FIFO), Some(0));
        base.rt_priority = 10;
        let kept = finding(&Backend::SetAttr(Return { works, base, limit }));
        assert_explained(&kept);
        assert!(
            kept.detail
                .ends_with("it takes 20, and RLIMIT_RTPRIO of 10"),
            "{}",
            kept.detail
        );
        let advice = kept.advice.expect("what to do");
        assert!(
            advice.contains("LimitNICE=20 and LimitRTPRIO=10 "),
            "{advice}"
        );
        assert!(advice.contains("\"ulimit -e 20 -r 10\""), "{advice}");
    }

    #[test]
    fn the_way_back_is_named_by_what_allows_it() {
        assert_explained(&come_back(true, 0, Some(20)));
        let limit = come_back(true, 0, Some(20)).detail;
        assert!(limit.ends_with("RLIMIT_NICE is 20"), "{limit}");
        let capability = come_back(true, 0, Some(0)).detail;
        assert!(
            capability.ends_with("CAP_SYS_NICE allows it"),
            "{capability}"
        );
        let (works, base, limit) = (true, SchedAttr::new(SchedPolicy::IDLE), Some(0));
        let idle = finding(&Backend::SetAttr(Return { works, base, limit })).detail;
        assert!(idle.ends_with("it was SCHED_IDLE before"), "{idle}");
    }

    #[test]
    fn a_lowered_thread_has_its_flags() {
        let mut base = SchedAttr::new(SchedPolicy::OTHER);
        base.flags = 1;
        assert_eq!(lowered(&base).flags, base.flags);
    }

    #[test]
    fn each_interface_has_a_verdict() {
        let none = Backend::None(io::ErrorKind::PermissionDenied.into());
        let findings = [Backend::Device, Backend::SystemCall, none, Backend::NoProc]
            .map(|backend| finding(&backend));
        findings[1..].iter().for_each(assert_explained);
        let labels = findings.map(|finding| finding.verdict.label());
        assert_eq!(labels, ["ok", "warn", "FAIL", "FAIL"]);
    }

    #[test]
    fn under_a_filter_no_system_call_is_tried_and_the_interface_is_unknown() {
        let backend = Backend::find(true);
        assert!(matches!(backend, Backend::Untried), "{backend:?}");
        let finding = finding(&backend);
        assert_eq!(finding.verdict.label(), "?");
        assert_explained(&finding);
    }
}
