// SPDX-License-Identifier: GPL-2.0

//! The text of a drop-in, and what keeps a service from running what the text says.

use std::env;
use std::env::consts::ARCH;
use std::path::Path;
use std::path::PathBuf;

use gosched::policy::level;
use gosched::policy::GoPrio;
use gosched::Device;
use procfs::process::MMPermissions;
use procfs::process::MMapPath;
use procfs::process::Process;

use super::command::Command;
use super::system::System;
use super::unit::Unit;
use crate::args::Cpus;
use crate::args::Prio;
use crate::args::Quota;
use crate::args::Systemd;
use crate::error::ServiceError;

/// Group that the udev rule gives the device to.
const GROUP: &str = "gosched";
/// Program that takes the capability away again.
const SETPRIV: &str = "/usr/bin/setpriv";
/// Libraries of setpriv(1), and the program that loads them.
const SETPRIV_LIBRARIES: [&str; 3] = [
    if cfg!(target_arch = "aarch64") {
        "ld-linux-aarch64.so.1"
    } else {
        "ld-linux-x86-64.so.2"
    },
    "libc.so.6",
    "libcap-ng.so.0",
];

/// Refuses a service whose sandbox keeps it from what a drop-in with the program `gosched` has
/// it run.
pub(super) fn may_run(
    system: &System,
    service: &str,
    unit: &Unit,
    gosched: &Path,
) -> Result<(), ServiceError> {
    let real = |path: &Path| system.real_path(path);
    let service = || service.to_owned();
    let mut programs = vec![real(gosched)];
    programs.extend(libraries());
    let mut calls = vec!["ioctl"];
    if lends_nice(unit) {
        programs.push(real(Path::new(SETPRIV)));
        for name in SETPRIV_LIBRARIES {
            for folder in library_folders() {
                let library = folder.join(name);
                if system.metadata(&library)?.is_some() {
                    programs.push(real(&library));
                }
            }
        }
        calls.extend(["capget", "capset", "prctl"]);
    }
    let device = PathBuf::from(Device::PATH);
    for path in programs.iter().chain([&device]) {
        if let Some(setting) = unit.sandbox.hides(path, &real) {
            let path = path.clone();
            return Err(ServiceError::Hidden {
                service: service(),
                setting,
                path,
            });
        }
    }
    if let Some(path) = programs
        .into_iter()
        .find(|path| unit.sandbox.forbids_running(path, &real))
    {
        return Err(ServiceError::NoExec {
            service: service(),
            path,
        });
    }
    match unit.sandbox.refused_call(&calls)? {
        Some(call) => Err(ServiceError::SystemCall {
            service: service(),
            call,
        }),
        None => Ok(()),
    }
}

/// Returns the folders that distributions have libraries of this architecture in.
fn library_folders() -> [PathBuf; 4] {
    [
        "/lib64".into(),
        "/lib".into(),
        "/usr/lib64".into(),
        format!("/usr/lib/{ARCH}-linux-gnu").into(),
    ]
}

/// Returns the libraries of this program, which has none where it is linked to none.
fn libraries() -> Vec<PathBuf> {
    let maps = Process::myself().and_then(|process| process.maps());
    let own = env::current_exe().unwrap_or_default();
    let mut libraries: Vec<_> = maps
        .into_iter()
        .flatten()
        .filter(|map| map.perms.contains(MMPermissions::EXECUTE))
        .filter_map(|map| match map.pathname {
            MMapPath::Path(path) => Some(path).filter(|path| *path != own),
            _ => None,
        })
        .collect();
    libraries.dedup();
    libraries
}

/// Returns whether the wrapper has a capability that the service itself shall not have.
fn lends_nice(unit: &Unit) -> bool {
    unit.drops_root() && !unit.wants_nice()
}

/// Returns the nice value up to which the service may raise its threads without go_sched.
///
/// That is the value of the priority, or of the unit if that is better. The value of
/// the ceiling is not used: what a limit allows, a thread owns, and no budget watches it there.
fn nice_limit(Prio(prio): Prio, unit: &Unit) -> i32 {
    let highest_fair = GoPrio::new(47).unwrap_or(prio);
    level(prio.min(highest_fair)).nice.min(unit.nice)
}

/// Returns the text of the drop-in, with the program `gosched` as the wrapper.
pub(super) fn text(
    args: &Systemd,
    service: &str,
    unit: &Unit,
    gosched: &Path,
) -> Result<String, ServiceError> {
    if !unit.may_have_nice() {
        return Err(ServiceError::NoCapability(service.to_owned()));
    }
    if unit.private_users {
        return Err(ServiceError::PrivateUsers(service.to_owned()));
    }
    if unit.has_root_of_its_own() {
        return Err(ServiceError::OwnRoot {
            service: service.to_owned(),
            prio: args.prio.0.get(),
            ceiling: args.ceiling.0.get(),
        });
    }
    if unit.exec_start.is_empty() {
        return Err(ServiceError::NoCommand(service.to_owned()));
    }
    let lends_nice = lends_nice(unit);

    let mut lines = vec![
        format!("# \"gosched systemd\" wrote this for {service}. After a change of its ExecStart=, User=,"),
        "# devices or capabilities, write it anew.".to_owned(),
        "[Unit]".to_owned(),
        "# It loads the module, and waits until udev has given the device to its group.".to_owned(),
        "Wants=go_sched.service".to_owned(),
        "After=go_sched.service".to_owned(),
        String::new(),
        "[Service]".to_owned(),
    ];
    if let Some(cpus) = &args.cpus {
        lines.push(format!("AllowedCPUs={}", cpus.as_str()));
    }
    if let Some(Quota(percent)) = args.quota {
        lines.push(format!("CPUQuota={percent}%"));
    }
    let cpus = args.cpus.as_ref().map(Cpus::count);
    let quota = args
        .quota
        .map(|Quota(percent)| percent.div_ceil(100) as usize);
    // More threads than the quota can run would use it up and then all stop.
    if let Some(width) = cpus.into_iter().chain(quota).min() {
        lines.push(format!("Environment=GOMAXPROCS={width}"));
    }
    if unit.private_devices {
        lines.extend([
            "# PrivateDevices= hides it. If there is none, gosched run says what to do.".to_owned(),
            format!("BindPaths=-{}", Device::PATH),
        ]);
    }
    // Without other limits, a DeviceAllow= would be a limit.
    if unit.limits_devices() {
        lines.push(format!("DeviceAllow={} rw", Device::PATH));
    }
    if unit.drops_root() {
        lines.push(format!("SupplementaryGroups={GROUP}"));
    }
    if lends_nice {
        lines.extend([
            "# For the ceiling alone: setpriv(1) takes it away.".to_owned(),
            "AmbientCapabilities=CAP_SYS_NICE".to_owned(),
        ]);
    }
    if !args.strict && !unit.limits_nice {
        lines.extend([
            "# Without go_sched, a thread that was lowered comes back up to here.".to_owned(),
            format!("LimitNICE={:+}", nice_limit(args.prio, unit)),
        ]);
    }
    lines.push("ExecStart=".to_owned());
    for command in &unit.exec_start {
        let command =
            Command::read(command).ok_or_else(|| ServiceError::BadCommand(service.to_owned()))?;
        let wrapped = wrap(&command, args, service, lends_nice, gosched)?;
        lines.push(format!("ExecStart={wrapped}"));
    }
    Ok(lines.join("\n") + "\n")
}

/// Returns `command` as started by `gosched run`.
fn wrap(
    command: &Command,
    args: &Systemd,
    service: &str,
    lends_nice: bool,
    gosched: &Path,
) -> Result<String, ServiceError> {
    if command.prefix.contains('@') {
        return Err(ServiceError::OwnName(service.to_owned()));
    }
    if command.is_several() {
        return Err(ServiceError::SeveralCommands(service.to_owned()));
    }
    let or_without = match args.strict {
        true => "",
        false => "--try ",
    };
    let give_back = match lends_nice && !command.is_as_root() {
        true => format!("{SETPRIV} --ambient-caps -sys_nice --inh-caps -sys_nice -- "),
        false => String::new(),
    };
    let (Prio(prio), Prio(ceiling)) = (args.prio, args.ceiling);
    Ok(format!(
        "{}{} run {or_without}{} --ceiling {} -- {give_back}{}",
        command.prefix,
        program(gosched)?,
        prio.get(),
        ceiling.get(),
        command.as_arguments(),
    ))
}

/// Returns the path of a program as the first word of a command, where `$` has no
/// meaning.
fn program(path: &Path) -> Result<String, ServiceError> {
    let valid = |c: char| !c.is_control() && !['"', '\'', '\\'].contains(&c);
    let text = path
        .to_str()
        .filter(|text| text.chars().all(valid))
        .ok_or_else(|| ServiceError::ProgramName(path.to_owned()))?;
    let text = text.replace('%', "%%");
    Ok(match text.contains(' ') {
        true => format!("\"{text}\""),
        false => text,
    })
}
