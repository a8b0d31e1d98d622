// SPDX-License-Identifier: GPL-2.0

//! `gosched systemd`: a drop-in that gives a service its CPUs and priorities.
//!
//! The service's own command is wrapped, for which its unit is read. A command
//! of `ExecStartPost=` would find `$MAINPID` after it has started threads, and
//! other processes too late or not at all; one of `ExecStartPre=` is a process of
//! its own, which the service inherits nothing from. The wrapper sets itself and
//! becomes the service, so that there is no thread or child without its priority,
//! and `$MAINPID`, `Type=notify` and `Type=forking` work as before.
//!
//! Raising the ceiling takes `CAP_SYS_NICE`. `+` in front of the command would run
//! the service as root for good, so a service with `User=` gets the capability as an
//! ambient one, and setpriv(1) takes it away before the service starts. A granted
//! ceiling ends with a change of user: systemd makes that before.

mod cpus;
mod unit;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use gosched::policy::GoPrio;
use gosched::Device;

use self::cpus::Cpus;
use self::unit::Unit;
use crate::args::Prio;
use crate::args::PrioError;
use crate::Failure;

/// Sorts after what administrators number lower, and can be overridden.
const DROP_IN: &str = "50-gosched.conf";
/// The group that the udev rule gives the device to.
const GROUP: &str = "gosched";

#[derive(clap::Args)]
pub(crate) struct Systemd {
    /// A service of the system, such as etcd or etcd.service
    #[arg(value_name = "SERVICE")]
    service: Service,

    /// The priority it starts at, and the one it can be raised to: 0..63, higher = more urgent
    #[arg(long, value_name = "LOW-HIGH", allow_hyphen_values = true)]
    band: PrioBand,

    /// The only CPUs it runs on, such as 2-5 or 0,2,4-7; GOMAXPROCS is their number
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    cpus: Option<Cpus>,

    /// CPU time it gets at most, in percent of one CPU. Rounded up to whole CPUs, it limits
    /// GOMAXPROCS
    #[arg(long, value_name = "PERCENT")]
    quota: Option<Quota>,

    /// Read the service of the system whose root directory is DIR
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// Write DIR/SERVICE.d/50-gosched.conf instead of to standard output
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// The name of a service, ending in `.service`.
#[derive(Clone, Debug)]
struct Service(String);

/// Two priorities in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PrioBand {
    low: GoPrio,
    high: GoPrio,
}

/// Percent of one CPU, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota(u32);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ArgumentError {
    #[error("'{0}' is not the name of a service: write it without a path, such as etcd.service")]
    NotAName(String),
    #[error("{0} is not a service: other units run nothing that has a priority")]
    NotAService(String),
    #[error("'{0}' is not a band of priorities such as 32-50 (higher = more urgent)")]
    NotABand(String),
    #[error("the band {low}-{high} is in the wrong order: write {high}-{low}")]
    Reversed { low: u32, high: u32 },
    #[error(transparent)]
    Prio(#[from] PrioError),
    #[error("'{0}' is not a quota such as 200%, of one CPU")]
    NotAQuota(String),
}

impl FromStr for Service {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        // unit_name_is_valid() of systemd.
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        if text.is_empty() || text.starts_with(['.', '-', '@']) || !text.bytes().all(valid) {
            return Err(ArgumentError::NotAName(text.to_owned()));
        }
        const OTHERS: [&str; 10] = [
            ".automount",
            ".device",
            ".mount",
            ".path",
            ".scope",
            ".slice",
            ".socket",
            ".swap",
            ".target",
            ".timer",
        ];
        if OTHERS.iter().any(|suffix| text.ends_with(suffix)) {
            return Err(ArgumentError::NotAService(text.to_owned()));
        }
        let name = text.strip_suffix(".service").unwrap_or(text);
        Ok(Self(format!("{name}.service")))
    }
}

impl FromStr for PrioBand {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let (low, high) = text
            .split_once('-')
            .filter(|(low, high)| !low.is_empty() && !high.starts_with('-'))
            .ok_or_else(|| ArgumentError::NotABand(text.to_owned()))?;
        let (Prio(low), Prio(high)) = (low.parse()?, high.parse()?);
        if low > high {
            return Err(ArgumentError::Reversed {
                low: low.get(),
                high: high.get(),
            });
        }
        Ok(Self { low, high })
    }
}

impl FromStr for Quota {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        text.strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .filter(|percent| *percent > 0)
            .map(Self)
            .ok_or_else(|| ArgumentError::NotAQuota(text.to_owned()))
    }
}

pub(crate) fn systemd(args: Systemd) -> Result<ExitCode, Failure> {
    let Service(service) = &args.service;
    let unit = Unit::read(service, &args.root, DROP_IN)?;
    let text = drop_in(&args, &unit, &env::current_exe()?)?;
    match &args.output {
        None => io::stdout().lock().write_all(text.as_bytes())?,
        Some(directory) => write_into(&directory.join(format!("{service}.d")), &text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Complete or not at all: systemd may read it at any time.
fn write_into(directory: &Path, text: &str) -> Result<(), Failure> {
    let path = directory.join(DROP_IN);
    let new = directory.join(format!(".{DROP_IN}.new"));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, &path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(())
}

/// The text of the drop-in, with `gosched` as the wrapper.
fn drop_in(args: &Systemd, unit: &Unit, gosched: &Path) -> Result<String, Failure> {
    let Service(service) = &args.service;
    if !unit.may_have_nice() {
        return Err(format!(
            "CapabilityBoundingSet= of {service} lacks CAP_SYS_NICE, which a ceiling takes: \
             add it in a drop-in of your own first"
        )
        .into());
    }
    if unit.private_users {
        return Err(format!(
            "PrivateUsers= of {service} leaves it no CAP_SYS_NICE outside of itself, which a ceiling \
             takes: set PrivateUsers=no in a drop-in of your own first"
        )
        .into());
    }
    if unit.has_root_of_its_own() {
        let PrioBand { low, high } = args.band;
        return Err(format!(
            "RootDirectory= or RootImage= of {service} hides gosched and {device} from it: put both \
             in there, and \"gosched run {low} --ceiling {high} --\" before the command of its ExecStart=",
            device = Device::PATH,
            low = low.get(),
            high = high.get(),
        )
        .into());
    }
    if unit.exec_start.is_empty() {
        return Err(format!("{service} has no ExecStart=, and so nothing to set").into());
    }
    let lends_nice = unit.drops_root() && !unit.wants_nice();

    let mut text = format!(
        "# \"gosched systemd\" wrote this for {service}. After a change of its ExecStart=, User=,\n\
         # devices or capabilities, write it anew.\n\
         [Unit]\n\
         # It loads the module, and waits until udev has given the device to its group.\n\
         Wants=go_sched.service\n\
         After=go_sched.service\n\n\
         [Service]\n"
    );
    if let Some(cpus) = &args.cpus {
        writeln!(text, "AllowedCPUs={}", cpus.as_str())?;
    }
    if let Some(Quota(percent)) = args.quota {
        writeln!(text, "CPUQuota={percent}%")?;
    }
    let cpus = args.cpus.as_ref().map(Cpus::count);
    let quota = args
        .quota
        .map(|Quota(percent)| percent.div_ceil(100) as usize);
    // More threads than the quota can run would use it up and then all stop.
    if let Some(width) = cpus.into_iter().chain(quota).min() {
        writeln!(text, "Environment=GOMAXPROCS={width}")?;
    }
    if unit.private_devices {
        writeln!(
            text,
            "# PrivateDevices= hides it. If there is none, gosched run says what to do."
        )?;
        writeln!(text, "BindPaths=-{}", Device::PATH)?;
    }
    // Without other limits, this would be one.
    if unit.limits_devices() {
        writeln!(text, "DeviceAllow={} rw", Device::PATH)?;
    }
    if unit.drops_root() {
        writeln!(text, "SupplementaryGroups={GROUP}")?;
    }
    if lends_nice {
        writeln!(text, "# For the ceiling alone: setpriv(1) takes it away.")?;
        writeln!(text, "AmbientCapabilities=CAP_SYS_NICE")?;
    }
    writeln!(text, "ExecStart=")?;
    for command in &unit.exec_start {
        writeln!(
            text,
            "ExecStart={}",
            wrap(command, args, lends_nice, gosched)?
        )?;
    }
    Ok(text)
}

/// `command`, started by `gosched run`.
fn wrap(
    command: &str,
    args: &Systemd,
    lends_nice: bool,
    gosched: &Path,
) -> Result<String, Failure> {
    let words = command.trim_start_matches(['@', '-', ':', '+', '!']);
    let prefix = &command[..command.len() - words.len()];
    let Service(service) = &args.service;
    if prefix.contains('@') {
        return Err(format!(
            "ExecStart= of {service} names its own argv[0] with \"@\", which gosched run cannot \
             pass on: write it without, in a drop-in of your own, first"
        )
        .into());
    }
    if has_several_commands(words) {
        return Err(format!(
            "ExecStart= of {service} has several commands in one line: write a line for each, \
             in a drop-in of your own, first"
        )
        .into());
    }
    // With these the command is started as root, whatever User= says.
    let as_root = prefix.contains(['+', '!']);
    let give_back = match lends_nice && !as_root {
        true => "/usr/bin/setpriv --ambient-caps -sys_nice --inh-caps -sys_nice -- ",
        false => "",
    };
    let PrioBand { low, high } = args.band;
    Ok(format!(
        "{prefix}{} run {} --ceiling {} -- {give_back}{words}",
        program(gosched)?,
        low.get(),
        high.get(),
    ))
}

/// The path of a program as the first word of a command, where `$` has no meaning.
fn program(path: &Path) -> Result<String, Failure> {
    let valid = |c: char| !c.is_control() && !['"', '\'', '\\'].contains(&c);
    let text = path
        .to_str()
        .filter(|text| text.chars().all(valid))
        .ok_or_else(|| {
            format!("systemd starts no program of the name {path:?}: install gosched elsewhere")
        })?;
    let text = text.replace('%', "%%");
    Ok(match text.contains(' ') {
        true => format!("\"{text}\""),
        false => text,
    })
}

/// Whether a `;` of its own separates commands; in quotes, or after a backslash, it is
/// an argument.
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
