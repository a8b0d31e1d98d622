// SPDX-License-Identifier: GPL-2.0

//! `gosched check`: checks whether this system is ready, and says what to do if not.

mod backend;
mod finding;
pub(crate) mod limits;
mod process;
mod unit;

use std::fmt::Display;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use gosched::error::OpenError;
use gosched::error::RequestError;
use gosched::policy::level;
use gosched::policy::GoPrio;
use gosched::policy::HASH;
use gosched::policy::VERSION;
use gosched::uapi::GO_SCHED_ABI_VERSION;
use gosched::Children;
use gosched::ClassInfo;
use gosched::Device;
use gosched::Target;
use procfs::ProcError;

pub(crate) use self::finding::Finding;
use self::finding::Verdict;
use self::process::Asked;
use crate::args::Check;
use crate::args::Service;
use crate::error::Error;
use crate::exit;
use crate::kernel::Kernel;
use crate::kernel::OPTION;
use crate::output;
use crate::output::print_json;
use crate::output::printable;

pub(crate) fn check(args: &Check, json: bool) -> Result<ExitCode, Error> {
    let asked = Kernel::ask();
    let opened = Device::open();
    let module = module(&asked);
    let is_absent = matches!(module.verdict, Verdict::Fail | Verdict::Skip);
    let mut findings = vec![
        kernel(&asked),
        module,
        device(&asked, opened.as_ref().err()),
    ];
    match &opened {
        Ok(device) => findings.extend([
            Finding::ok("access", format!("this user may open {}", Device::PATH)),
            Finding::ok(
                "abi",
                format!("version {GO_SCHED_ABI_VERSION} on both sides"),
            ),
            mapping(device.class_info()),
            hook(device),
        ]),
        Err(error) => findings.extend(not_open(error)),
    }
    findings.extend([
        backend::backend(opened.is_ok()),
        limits::sched_ext(),
        limits::fair_server(),
        limits::quota(),
        limits::autogroup(),
    ]);
    findings.extend(limits::rcu());
    if let Some(Service(service)) = &args.unit {
        findings.push(unit::unit(service, Path::new("/")));
    }
    if let Some(pid) = args.pid {
        let asked = match &opened {
            Ok(device) => Asked::Device(device),
            Err(_) if is_absent => Asked::Kernel,
            Err(_) => Asked::Nobody,
        };
        findings.push(process::process(pid, asked));
    }

    if json {
        print_json(&findings)?;
    } else {
        output::print(|out| print(out, &findings))?;
    }
    let unusable = findings
        .iter()
        .any(|finding| matches!(finding.verdict, Verdict::Fail | Verdict::Skip));
    Ok(if unusable {
        ExitCode::from(exit::FAILURE)
    } else {
        ExitCode::SUCCESS
    })
}

fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        // The texts may have names of control groups.
        let detail = printable(&finding.detail);
        let (label, check) = (finding.verdict.label(), finding.check);
        writeln!(out, "{label:4}  {check:9}  {detail}")?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "{:15}  -> {}", "", printable(advice))?;
        }
    }
    Ok(())
}

fn kernel(kernel: &Kernel) -> Finding {
    const CHECK: &str = "kernel";

    let unknown = |reason: &dyn Display| {
        Finding::unknown(
            CHECK,
            format!("unknown whether built with {OPTION}: {reason}"),
            "see whether \"hook\" below is ok",
        )
    };
    match kernel {
        Kernel::Has => Finding::ok(CHECK, format!("built with {OPTION}=y")),
        Kernel::Lacks => Finding::fail(CHECK, format!("built without {OPTION}"), Kernel::advice()),
        Kernel::Unknown(ProcError::NotFound(_)) => {
            unknown(&"no /proc/config.gz, no /boot/config-*")
        }
        Kernel::Unknown(error) => unknown(error),
    }
}

fn module(kernel: &Kernel) -> Finding {
    const CHECK: &str = "module";
    const NAME: &str = "go_sched_class";

    if Path::new("/sys/module").join(NAME).exists() {
        return Finding::ok(CHECK, format!("{NAME} is loaded"));
    }
    match (procfs::modules(), kernel) {
        (Ok(modules), _) if modules.contains_key(NAME) => {
            Finding::ok(CHECK, format!("{NAME} is loaded"))
        }
        (_, Kernel::Lacks) => Finding::skip(CHECK, format!("needs a kernel with {OPTION}")),
        (Ok(_), _) => Finding::fail(
            CHECK,
            format!("{NAME} is not loaded"),
            format!("run \"modprobe {NAME}\" as root, or \"insmod {NAME}.ko\" where it was built"),
        ),
        (Err(error), _) => Finding::unknown(
            CHECK,
            format!("unknown whether {NAME} is loaded: {error}"),
            "see whether \"device\" below is ok",
        ),
    }
}

/// Checks the node of the device, by why it could not be opened.
fn device(kernel: &Kernel, error: Option<&OpenError>) -> Finding {
    const CHECK: &str = "device";

    match error {
        Some(OpenError::NotLoaded) if matches!(kernel, Kernel::Lacks) => {
            Finding::skip(CHECK, format!("needs a kernel with {OPTION}"))
        }
        Some(OpenError::NotLoaded) => Finding::fail(
            CHECK,
            format!("there is no {}", Device::PATH),
            "load the module; if it is loaded, mount devtmpfs on /dev",
        ),
        Some(OpenError::StaleNode) => Finding::fail(
            CHECK,
            format!("{} is a node of no device", Device::PATH),
            "load the module; if it is loaded, remove the node and load it again, or start the container again",
        ),
        Some(OpenError::NotTheDevice) => Finding::fail(
            CHECK,
            format!("{} is not the device of the module", Device::PATH),
            "remove it, and load the module again",
        ),
        _ => Finding::ok(CHECK, format!("{} exists", Device::PATH)),
    }
}

/// Returns the findings about a device that could not be opened.
fn not_open(error: &OpenError) -> [Finding; 4] {
    let skip = |check| Finding::skip(check, "needs the open device");
    let refused = |detail: &str, advice: &str| {
        let access = Finding::fail("access", format!("{detail} {}", Device::PATH), advice);
        [access, skip("abi"), skip("mapping"), skip("hook")]
    };
    match error {
        OpenError::NotLoaded | OpenError::StaleNode | OpenError::NotTheDevice => {
            ["access", "abi", "mapping", "hook"].map(skip)
        }
        OpenError::VersionMismatch { .. } => [
            Finding::ok("access", format!("this user may open {}", Device::PATH)),
            Finding::fail(
                "abi",
                error.to_string(),
                "load the module that came with this program",
            ),
            skip("mapping"),
            skip("hook"),
        ],
        OpenError::NotPermitted => refused(
            "this user may not open",
            "run as root, or have root grant access to it with chmod(1)",
        ),
        OpenError::Nodev => refused(
            "a filesystem mounted nodev, where nobody may open a device, has",
            "mount it with the option dev",
        ),
        OpenError::Filtered => refused(
            "the device filter of a container, or its like, refuses",
            "have the container started with \"--device /dev/go_sched\"",
        ),
        _ => [
            Finding::fail("access", error.to_string(), "see the kernel log, dmesg(1)"),
            skip("abi"),
            skip("mapping"),
            skip("hook"),
        ],
    }
}

/// Checks that the kernel uses the mapping that `gosched map` shows.
fn mapping(info: Result<ClassInfo, RequestError>) -> Finding {
    const CHECK: &str = "mapping";

    match info {
        Ok(info) if (info.version, info.hash) == (VERSION, HASH) => Finding::ok(
            CHECK,
            format!("version {VERSION}, hash {HASH:016x} on both sides"),
        ),
        Ok(ClassInfo { version, hash, .. }) => Finding::warn(
            CHECK,
            format!(
                "the kernel uses version {version}, hash {hash:016x}, and not the one of this \
                 program, version {VERSION}, hash {HASH:016x}: \"gosched map\" shows the latter"
            ),
            "load the module that came with this program",
        ),
        Err(error) => Finding::unknown(
            CHECK,
            format!("unknown which one the kernel uses: {error}"),
            "load the module that came with this program",
        ),
    }
}

/// Checks the whole path: gives this thread the priority that everybody may set.
fn hook(device: &Device) -> Finding {
    const CHECK: &str = "hook";

    let expected = level(GoPrio::MIN).policy.into();
    let tried = device
        .set(Target::CallingThread, GoPrio::MIN, Children::StartAtBase)
        .and_then(|()| device.get(Target::CallingThread))
        .and_then(|status| device.clear(Target::CallingThread).map(|()| status.current));
    match tried {
        Ok(params) if params.policy == expected => {
            Finding::ok(CHECK, format!("priority {} took effect", GoPrio::MIN.get()))
        }
        Ok(params) => Finding::fail(
            CHECK,
            format!(
                "priority {} was accepted, but the thread ran at {params}",
                GoPrio::MIN.get()
            ),
            "load the module that came with this program",
        ),
        Err(error) => Finding::fail(
            CHECK,
            format!("priority {} was refused", GoPrio::MIN.get()),
            error.to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use gosched::uapi::go_sched_class_info;

    use super::*;
    use crate::documented::explains_finding;

    /// Checks that the guide explains a finding.
    #[track_caller]
    pub(super) fn assert_explained(finding: &Finding) {
        let mut out = Vec::new();
        print(&mut out, std::slice::from_ref(finding)).expect("a vector takes all");
        let text = String::from_utf8(out).expect("text");
        let line = text.lines().next().expect("a line");
        assert!(explains_finding(line), "no page explains: {line}");
    }

    #[test]
    fn a_failure_is_printed_with_what_to_do() {
        let mut out = Vec::new();
        let findings = [
            Finding::ok("kernel", "fine"),
            Finding::fail("module", "absent", "load\u{1b} it"),
            Finding::unknown("rt", "dark", "light"),
        ];
        print(&mut out, &findings).expect("a vector takes all");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "ok    kernel     fine\n\
             FAIL  module     absent\n                 -> load? it\n\
             ?     rt         dark\n                 -> light\n"
        );
    }

    #[test]
    fn another_abi_fails_abi_alone() {
        let findings = not_open(&OpenError::VersionMismatch { module: 2 });
        let verdicts = findings.map(|finding| finding.verdict.label());
        assert_eq!(verdicts, ["ok", "FAIL", "skip", "skip"]);
    }

    #[test]
    fn each_way_not_to_open_the_device_fails_once_with_what_to_do() {
        for (error, failed) in [
            (OpenError::NotLoaded, "device"),
            (OpenError::StaleNode, "device"),
            (OpenError::NotTheDevice, "device"),
            (OpenError::NotPermitted, "access"),
            (OpenError::Nodev, "access"),
            (OpenError::Filtered, "access"),
            (OpenError::Os(io::ErrorKind::Other.into()), "access"),
        ] {
            let findings = not_open(&error)
                .into_iter()
                .chain([device(&Kernel::Has, Some(&error))]);
            let failures: Vec<Finding> = findings
                .filter(|finding| matches!(finding.verdict, Verdict::Fail))
                .collect();
            assert_eq!(failures.len(), 1, "{error}");
            assert_eq!(failures[0].check, failed, "{error}");
            assert!(failures[0].advice.is_some(), "{error}");
        }
    }

    #[test]
    fn another_mapping_than_the_program_s_is_told_by_both_hashes() {
        let mut info = ClassInfo::from(go_sched_class_info {
            version: VERSION,
            hash: HASH,
            ..Default::default()
        });
        assert_eq!(mapping(Ok(info)).verdict.label(), "ok");
        info.hash ^= 1;
        let finding = mapping(Ok(info));
        assert_eq!(finding.verdict.label(), "warn");
        for hash in [HASH, info.hash] {
            let hash = format!("{hash:016x}");
            assert!(finding.detail.contains(&hash), "{}", finding.detail);
        }
    }
}
