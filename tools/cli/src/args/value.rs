// SPDX-License-Identifier: GPL-2.0

//! Values of arguments.

#[cfg(feature = "observe")]
use std::fmt;
#[cfg(feature = "observe")]
use std::net::SocketAddr;
use std::num::NonZeroU32;
#[cfg(feature = "observe")]
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use gosched::policy::GoPrio;
use gosched::thread::ThreadId;

/// The reason that a text is not a value of its argument.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(test, derive(strum::EnumCount))]
pub(crate) enum ArgumentError {
    #[error("priority {0} is outside 0..{max} (higher = more urgent)", max = GoPrio::MAX.get())]
    PrioOutOfRange(i64),
    #[error("priority '{0}' is not a number 0..{max} (higher = more urgent)", max = GoPrio::MAX.get())]
    NotAPrio(String),
    #[error(
        "priority {prio} is above the ceiling {ceiling}, so that no hint could bring the command \
         back to it: give a ceiling of {prio} or more",
        prio = prio.get(),
        ceiling = ceiling.get()
    )]
    AboveCeiling { prio: GoPrio, ceiling: GoPrio },
    #[error("'{0}' is not a number of seconds from 0.01 to 3600")]
    NotAnInterval(String),
    #[error("'{text}' is not a number of {of}, 1 or more")]
    NotANumberOf { of: &'static str, text: String },
    #[error("'{0}' is not a process id")]
    NotAProcess(String),
    #[error("'{0}' is not the name of a service: write it without a path, such as etcd.service")]
    NotAName(String),
    #[error("{0} is not a service: other units run nothing that has a priority")]
    NotAService(String),
    #[error("'{0}' is not a quota such as 200%, of one CPU")]
    NotAQuota(String),
    #[cfg(feature = "observe")]
    #[error("'{0}' is not a percentage above 0 and below 100")]
    NotAPercentage(String),
    #[cfg(feature = "observe")]
    #[error("'{0}' is not a number of milliseconds from 0 to 86400000")]
    NotMs(String),
    #[cfg(feature = "observe")]
    #[error("'{0}' is neither an address such as 127.0.0.1:19273 nor unix: and a path")]
    NotAPlace(String),
    #[cfg(feature = "observe")]
    #[error(
        "{0} can be reached from other machines, and gosched has neither TLS nor passwords: take \
         127.0.0.1:{port}, and put a proxy that has them in front, such as nginx with \"proxy_pass \
         http://127.0.0.1:{port};\"",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    #[error("there are no CPUs {wanted}: this machine has {present}")]
    NoSuchCpus { wanted: String, present: String },
    #[error(
        "a quota of {percent}% is more than this machine can give: write {most}% or less, or leave \
         out --quota"
    )]
    QuotaTooHigh { percent: u32, most: usize },
    #[error("{0} writes no JSON: leave out --json")]
    NoJson(String),
}

/// A priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prio(pub(crate) GoPrio);

impl Prio {
    /// Refuses a priority that the ceiling of the same command would not allow.
    pub(crate) fn check_ceiling(self, ceiling: Self) -> Result<(), ArgumentError> {
        let (Self(prio), Self(ceiling)) = (self, ceiling);
        if prio > ceiling {
            return Err(ArgumentError::AboveCeiling { prio, ceiling });
        }
        Ok(())
    }
}

impl FromStr for Prio {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let number: i64 = text
            .parse()
            .map_err(|_| ArgumentError::NotAPrio(text.to_owned()))?;
        u32::try_from(number)
            .ok()
            .and_then(GoPrio::new)
            .map(Self)
            .ok_or(ArgumentError::PrioOutOfRange(number))
    }
}

/// A ceiling; `None` is the highest priority that a thread owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CeilingPrio(pub(crate) Option<GoPrio>);

impl FromStr for CeilingPrio {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        match text {
            "none" => Ok(Self(None)),
            number => number.parse().map(|Prio(prio)| Self(Some(prio))),
        }
    }
}

/// The key that the table of `gosched top` is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortKey {
    /// Priority in force, highest first
    Priority,
    /// CPU time, most first
    Cpu,
    /// Time waited for a CPU, most first
    Wait,
    /// Thread id
    Tid,
    /// Name of the command
    Command,
}

fn parse_number_of(of: &'static str, text: &str) -> Result<NonZeroU32, ArgumentError> {
    text.parse().map_err(|_| ArgumentError::NotANumberOf {
        of,
        text: text.to_owned(),
    })
}

/// Reads a number of updates.
pub(super) fn parse_count(text: &str) -> Result<NonZeroU32, ArgumentError> {
    parse_number_of("updates", text)
}

/// Reads a size in KiB.
pub(super) fn parse_kib(text: &str) -> Result<NonZeroU32, ArgumentError> {
    parse_number_of("KiB", text)
}

/// Reads a size in MiB.
#[cfg(feature = "observe")]
pub(super) fn parse_mib(text: &str) -> Result<NonZeroU32, ArgumentError> {
    parse_number_of("MiB", text)
}

/// Reads a number of outliers.
#[cfg(feature = "observe")]
pub(super) fn parse_outliers(text: &str) -> Result<NonZeroU32, ArgumentError> {
    parse_number_of("outliers", text)
}

/// Reads the id of a process, without an inode.
pub(super) fn parse_pid(text: &str) -> Result<i32, ArgumentError> {
    text.parse()
        .ok()
        .filter(|id: &ThreadId| id.inode.is_none())
        .map(|id| id.pid)
        .ok_or_else(|| ArgumentError::NotAProcess(text.to_owned()))
}

/// The time between two updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Duration);

impl FromStr for Interval {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        text.parse()
            .ok()
            .filter(|seconds| (0.01..=3600.0).contains(seconds))
            .map(|seconds| Self(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| ArgumentError::NotAnInterval(text.to_owned()))
    }
}

/// The name of a service, ending in `.service`.
#[derive(Clone, Debug)]
pub(crate) struct Service(pub(crate) String);

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

/// A limit of CPU time in percent of one CPU, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota(pub(crate) u32);

impl FromStr for Quota {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        text.strip_suffix('%')
            // str::parse() takes a sign, systemd does not.
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|number| number.parse().ok())
            .filter(|percent| *percent > 0)
            .map(Self)
            .ok_or_else(|| ArgumentError::NotAQuota(text.to_owned()))
    }
}

/// A share in percent, above 0 and below 100.
#[cfg(feature = "observe")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

#[cfg(feature = "observe")]
impl FromStr for Percent {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        text.parse()
            .ok()
            .filter(|percent| *percent > 0.0 && *percent < 100.0)
            .map(Self)
            .ok_or_else(|| ArgumentError::NotAPercentage(text.to_owned()))
    }
}

/// A time, in ns; milliseconds on the command line.
#[cfg(feature = "observe")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ms(pub(crate) u64);

#[cfg(feature = "observe")]
impl FromStr for Ms {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        text.parse()
            .ok()
            .filter(|ms| (0.0..=86_400_000.0).contains(ms))
            .map(|ms: f64| Self((ms * 1e6).round() as u64))
            .ok_or_else(|| ArgumentError::NotMs(text.to_owned()))
    }
}

/// Where requests are answered.
#[cfg(feature = "observe")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Address(SocketAddr),
    Path(PathBuf),
}

#[cfg(feature = "observe")]
impl FromStr for Listen {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Path(path.into()));
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| ArgumentError::NotAPlace(text.to_owned()))?;
        match address.ip().is_loopback() {
            true => Ok(Self::Address(address)),
            false => Err(ArgumentError::NotLoopback(address)),
        }
    }
}

#[cfg(feature = "observe")]
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_0_to_63() {
        assert_eq!("0".parse(), Ok(Prio(GoPrio::MIN)));
        assert_eq!("63".parse(), Ok(Prio(GoPrio::MAX)));
        for (text, number) in [("64", 64), ("-1", -1), ("4294967296", 1 << 32)] {
            let error = ArgumentError::PrioOutOfRange(number);
            assert_eq!(text.parse::<Prio>(), Err(error));
        }
        let error = ArgumentError::NotAPrio("high".to_owned());
        assert_eq!("high".parse::<Prio>(), Err(error));
    }

    #[test]
    fn an_interval_is_a_time_that_passes() {
        assert_eq!("0.5".parse(), Ok(Interval(Duration::from_millis(500))));
        for wrong in ["0", "-1", "nan", "inf", "3601", "soon"] {
            let error = ArgumentError::NotAnInterval(wrong.to_owned());
            assert_eq!(wrong.parse::<Interval>(), Err(error));
        }
    }

    #[test]
    fn a_quota_is_a_percentage_of_one_cpu() {
        assert_eq!("50%".parse(), Ok(Quota(50)));
        for wrong in [
            "200",
            "0%",
            "+5%",
            "-5%",
            "1e2%",
            "0.5%",
            "%",
            "5000000000%",
        ] {
            let error = ArgumentError::NotAQuota(wrong.to_owned());
            assert_eq!(wrong.parse::<Quota>(), Err(error));
        }
    }

    #[test]
    fn a_ceiling_is_a_priority_or_none() {
        assert_eq!("63".parse(), Ok(CeilingPrio(Some(GoPrio::MAX))));
        assert_eq!("none".parse(), Ok(CeilingPrio(None)));
        let error = ArgumentError::PrioOutOfRange(64);
        assert_eq!("64".parse::<CeilingPrio>(), Err(error));
    }

    #[cfg(feature = "observe")]
    #[test]
    fn a_quantile_leaves_something_above_and_below() {
        assert_eq!("99.99".parse(), Ok(Percent(99.99)));
        for wrong in ["0", "100", "-1", "nan", "inf", "99.9%", ""] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "observe")]
    #[test]
    fn milliseconds_are_at_most_a_day() {
        assert_eq!("0.5".parse(), Ok(Ms(500_000)));
        for wrong in ["-1", "nan", "inf", "86400001", "5ms"] {
            assert!(wrong.parse::<Ms>().is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "observe")]
    #[test]
    fn only_this_machine_can_reach_what_is_listened_at() {
        let listen = |text: &str| text.parse::<Listen>();
        for text in ["127.0.0.1:19273", "127.8.9.1:0", "[::1]:80"] {
            let address = text.parse().expect("an address");
            assert_eq!(listen(text), Ok(Listen::Address(address)));
        }
        assert_eq!(listen("unix:/run/x"), Ok(Listen::Path("/run/x".into())));
        for text in [
            "0.0.0.0:80",
            "[::]:80",
            "10.0.0.1:80",
            "[::ffff:8.8.8.8]:80",
        ] {
            let address = text.parse().expect("an address");
            assert_eq!(listen(text), Err(ArgumentError::NotLoopback(address)));
        }
        for text in ["", "unix:", "19273", "localhost:1", "127.0.0.1", "/run/x"] {
            let error = ArgumentError::NotAPlace(text.to_owned());
            assert_eq!(listen(text), Err(error));
        }
    }
}
