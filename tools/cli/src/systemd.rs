// SPDX-License-Identifier: GPL-2.0

//! `gosched systemd`: a drop-in that gives a service its CPUs and priorities.
//!
//! The drop-in wraps the service's own command, which is why the unit is read. The
//! wrapper, `gosched run`, sets its own priority and becomes the service. So no thread
//! or child of the service is without the priority, and `$MAINPID`, `Type=notify` and
//! `Type=forking` work as before. A command of `ExecStartPost=` would run after
//! `$MAINPID` has started threads. A command of `ExecStartPre=` is another process,
//! which the service inherits nothing from.
//!
//! Raising the ceiling takes `CAP_SYS_NICE`. `+` in front of the command would run the
//! service as root for good. So a service with `User=` gets the capability as an ambient
//! one, and setpriv(1) takes it away before the service starts. A granted ceiling ends
//! with a change of user, which systemd makes before it starts the wrapper.

mod unit;

use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use gosched::Device;

use self::unit::Unit;
use crate::args::Cpus;
use crate::args::Prio;
use crate::args::Quota;
use crate::args::Service;
use crate::args::Systemd;
use crate::error::Error;
use crate::error::ServiceError;
use crate::output::print;

/// Name of the drop-in: it sorts after lower numbers of administrators, whose higher
/// numbers override it.
const DROP_IN: &str = "50-gosched.conf";
/// Group that the udev rule gives the device to.
const GROUP: &str = "gosched";

/// Prints or writes the drop-in of a service.
pub(crate) fn systemd(args: &Systemd) -> Result<ExitCode, Error> {
    args.prio.check_ceiling(args.ceiling)?;
    // Below another root is the system of another machine.
    if args.root == Path::new("/") {
        present_cpus().map_or(Ok(()), |present| args.check_machine(&present))?;
    }
    let Service(service) = &args.service;
    let unit = Unit::read(service, &args.root, DROP_IN)?;
    let text = drop_in(args, &unit, &env::current_exe()?)?;
    match &args.output {
        None => print(|out| out.write_all(text.as_bytes()))?,
        Some(directory) => write_into(&directory.join(format!("{service}.d")), &text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the CPUs of this machine, online or not, if the kernel tells them.
fn present_cpus() -> Option<Cpus> {
    let list = fs::read_to_string("/sys/devices/system/cpu/present").ok()?;
    list.trim().parse().ok()
}

/// Writes the drop-in completely or not at all: systemd may read it at any time.
fn write_into(directory: &Path, text: &str) -> Result<(), Error> {
    let path = directory.join(DROP_IN);
    let new = directory.join(format!(".{DROP_IN}.new"));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, &path))
        .map_err(|error| Error::Write { path, error })
}

/// Returns the text of the drop-in, with the program `gosched` as the wrapper.
fn drop_in(args: &Systemd, unit: &Unit, gosched: &Path) -> Result<String, ServiceError> {
    let Service(service) = &args.service;
    if !unit.may_have_nice() {
        return Err(ServiceError::NoCapability(service.clone()));
    }
    if unit.private_users {
        return Err(ServiceError::PrivateUsers(service.clone()));
    }
    if unit.has_root_of_its_own() {
        return Err(ServiceError::OwnRoot {
            service: service.clone(),
            prio: args.prio.0.get(),
            ceiling: args.ceiling.0.get(),
        });
    }
    if unit.exec_start.is_empty() {
        return Err(ServiceError::NoCommand(service.clone()));
    }
    let lends_nice = unit.drops_root() && !unit.wants_nice();

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
    lines.push("ExecStart=".to_owned());
    for command in &unit.exec_start {
        let wrapped = wrap(command, args, lends_nice, gosched)?;
        lines.push(format!("ExecStart={wrapped}"));
    }
    Ok(lines.join("\n") + "\n")
}

/// Returns `command` as started by `gosched run`.
fn wrap(
    command: &str,
    args: &Systemd,
    lends_nice: bool,
    gosched: &Path,
) -> Result<String, ServiceError> {
    let words = command.trim_start_matches(['@', '-', ':', '+', '!']);
    let prefix = &command[..command.len() - words.len()];
    let Service(service) = &args.service;
    if prefix.contains('@') {
        return Err(ServiceError::OwnName(service.clone()));
    }
    if has_several_commands(words) {
        return Err(ServiceError::SeveralCommands(service.clone()));
    }
    // With these prefixes the command is started as root, whatever User= says.
    let as_root = prefix.contains(['+', '!']);
    let give_back = match lends_nice && !as_root {
        true => "/usr/bin/setpriv --ambient-caps -sys_nice --inh-caps -sys_nice -- ",
        false => "",
    };
    let (Prio(prio), Prio(ceiling)) = (args.prio, args.ceiling);
    Ok(format!(
        "{prefix}{} run {} --ceiling {} -- {give_back}{words}",
        program(gosched)?,
        prio.get(),
        ceiling.get(),
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

/// Whether a `;` that is a word of its own separates commands. In quotes, or after a
/// backslash, `;` is an argument.
fn has_several_commands(words: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    let mut before = ' ';
    let mut chars = words.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ';')
                if before.is_whitespace()
                    && chars.peek().is_none_or(|after| after.is_whitespace()) =>
            {
                return true
            }
            _ => (),
        }
        before = c;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_semicolon_of_its_own_separates_commands() {
        for several in [
            "/a ; /b",
            "/a \"b c\" ; /d",
            "/a ;",
            "/a 'b\\'' ; /c",
            "/a\t;\t/b",
        ] {
            assert!(has_several_commands(several), "{several}");
        }
        for one in [
            "/a",
            "/a;b",
            "/a ;b",
            "/a b; c",
            r#"/a -c "b ; c""#,
            "/a -c 'b ; c'",
            r#"/a "b' ; c""#,
            r#"/a "b \" ; c""#,
            r"/a \; -b",
        ] {
            assert!(!has_several_commands(one), "{one}");
        }
    }
}
