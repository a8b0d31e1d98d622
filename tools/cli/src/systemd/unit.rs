// SPDX-License-Identifier: GPL-2.0

//! The unit file of a service and its drop-ins, see systemd.service(5).
//!
//! `systemctl show` is no substitute for reading these files: it shows the words of a
//! command without their quotes, and with the specifiers expanded.

use std::path::Path;
use std::process::Command;

use crate::error::ServiceError;

const CAP_SYS_NICE: &str = "CAP_SYS_NICE";

/// The settings of a service that the drop-in depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Commands as the unit has them, with prefixes, quotes and variables.
    pub(crate) exec_start: Vec<String>,
    user: String,
    dynamic_user: bool,
    pub(crate) private_devices: bool,
    pub(crate) private_users: bool,
    root_directory: bool,
    root_image: bool,
    protect_clock: bool,
    /// Whether `DevicePolicy=` is other than `auto`.
    closed_devices: bool,
    /// Whether `DeviceAllow=` has a list.
    allows_devices: bool,
    /// `None` where the service keeps all capabilities.
    bounding_set_has_nice: Option<bool>,
    /// `None` where the service asks for no capability.
    ambient_has_nice: Option<bool>,
}

impl Unit {
    /// Reads the unit of `service`, such as `foo.service`, below the root directory
    /// `root`. Leaves out the drop-in with the name `except`.
    pub(crate) fn read(service: &str, root: &Path, except: &str) -> Result<Self, ServiceError> {
        // An instance has its template's file, and drop-ins of both.
        let template = service
            .split_once('@')
            .map(|(prefix, _)| format!("{prefix}@.service"))
            .filter(|template| template != service);
        let files: Vec<String> = template.into_iter().chain([service.to_owned()]).collect();

        // systemd-analyze knows the folders and their order, and needs no running systemd.
        let output = Command::new("systemd-analyze")
            .arg("cat-config")
            .arg("--no-pager")
            .arg(format!("--root={}", root.display()))
            .args(files.iter().map(|file| format!("systemd/system/{file}")))
            .output()
            .map_err(ServiceError::NoAnalyze)?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(ServiceError::Analyze(reason.trim().to_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let exists = text
            .lines()
            .filter_map(file_name)
            .any(|name| files.iter().any(|file| file == name));
        if !exists {
            let place = match root.to_str() {
                Some("/") => "on this system".to_owned(),
                _ => format!("below {}", root.display()),
            };
            return Err(ServiceError::NoUnit {
                service: service.to_owned(),
                place,
            });
        }
        Ok(Self::parse(&text, except))
    }

    /// Reads the output of `systemd-analyze cat-config`.
    fn parse(text: &str, except: &str) -> Self {
        let mut unit = Self::default();
        let mut skip = false;
        let mut in_service = false;
        let mut logical = String::new();
        for line in text.lines() {
            if let Some(name) = file_name(line) {
                skip = name == except;
            }
            let line = line.trim();
            // A comment does not end a continued line.
            if skip || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(part) = line.strip_suffix('\\') {
                logical.push_str(part);
                logical.push(' ');
                continue;
            }
            logical.push_str(line);
            let line = std::mem::take(&mut logical);
            if line.starts_with('[') {
                in_service = line == "[Service]";
            } else if let (true, Some((key, value))) = (in_service, line.split_once('=')) {
                unit.assign(key.trim(), value.trim());
            }
        }
        unit
    }

    fn assign(&mut self, key: &str, value: &str) {
        match key {
            "ExecStart" if value.is_empty() => self.exec_start.clear(),
            "ExecStart" => self.exec_start.push(value.to_owned()),
            "User" => value.clone_into(&mut self.user),
            "DynamicUser" => self.dynamic_user = is_true(value),
            "PrivateDevices" => self.private_devices = is_true(value),
            "PrivateUsers" => self.private_users = !is_false(value),
            "RootDirectory" => self.root_directory = !matches!(value, "" | "/"),
            "RootImage" => self.root_image = !value.is_empty(),
            "ProtectClock" => self.protect_clock = is_true(value),
            "DevicePolicy" => self.closed_devices = matches!(value, "closed" | "strict"),
            "DeviceAllow" => self.allows_devices = !value.is_empty(),
            "CapabilityBoundingSet" => {
                self.bounding_set_has_nice = Some(nice_after(self.bounding_set_has_nice, value));
            }
            "AmbientCapabilities" => {
                self.ambient_has_nice = Some(nice_after(self.ambient_has_nice, value));
            }
            _ => {}
        }
    }

    /// Whether the service sees another root directory than that of the system.
    pub(crate) fn has_root_of_its_own(&self) -> bool {
        self.root_directory || self.root_image
    }

    /// Whether the service may open only listed devices. With the policy `auto`, any
    /// list limits it, and an empty assignment takes back the whole list.
    pub(crate) fn limits_devices(&self) -> bool {
        // PrivateDevices= closes the policy, ProtectClock= lists a device.
        self.closed_devices || self.allows_devices || self.private_devices || self.protect_clock
    }

    /// Whether the service starts as another user than root.
    pub(crate) fn drops_root(&self) -> bool {
        self.dynamic_user || !matches!(&*self.user, "" | "root" | "0")
    }

    /// Whether a process of the service may have `CAP_SYS_NICE`.
    pub(crate) fn may_have_nice(&self) -> bool {
        self.bounding_set_has_nice.unwrap_or(true)
    }

    /// Whether the service asks for `CAP_SYS_NICE` itself.
    pub(crate) fn wants_nice(&self) -> bool {
        self.ambient_has_nice.unwrap_or(false)
    }
}

/// Returns the file name in the comment that cat-config writes above each file.
fn file_name(line: &str) -> Option<&str> {
    line.strip_prefix("# /")?.rsplit('/').next()
}

/// Whether systemd's parse_boolean() reads `value` as true.
fn is_true(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether `value` is false, for a setting that is more than a boolean.
fn is_false(value: &str) -> bool {
    ["", "0", "no", "n", "false", "f", "off"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether `CAP_SYS_NICE` is in a set of capabilities after one more assignment. An
/// assignment adds to the set, one with `~` takes away, an empty one empties the set.
fn nice_after(before: Option<bool>, value: &str) -> bool {
    let (inverted, names) = match value.strip_prefix('~') {
        Some(names) => (true, names),
        None => (false, value),
    };
    let named = names
        .split_whitespace()
        .any(|name| name.eq_ignore_ascii_case(CAP_SYS_NICE));
    match (inverted, names.trim().is_empty()) {
        (inverted, true) => inverted,
        (true, false) => before.unwrap_or(true) && !named,
        (false, false) => before.unwrap_or(false) || named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(service: &str) -> Unit {
        Unit::parse(&format!("[Service]\n{service}"), "50-gosched.conf")
    }

    #[test]
    fn commands_keep_their_quotes_and_lose_their_line_ends() {
        let unit = parse("ExecStart=/bin/a \"b c\" \\\n# why\n   $D %i\nExecStart = -/bin/e");
        assert_eq!(unit.exec_start, ["/bin/a \"b c\"  $D %i", "-/bin/e"]);
    }

    #[test]
    fn an_empty_command_takes_back_those_before() {
        assert_eq!(
            parse("ExecStart=/bin/a\nExecStart=\nExecStart=/bin/b").exec_start,
            ["/bin/b"]
        );
    }

    #[test]
    fn other_sections_and_the_drop_in_left_out_do_not_count() {
        let text = "\
# /etc/systemd/system/a.service
[Unit]
ExecStart=/bin/none
[Service]
ExecStart=/bin/a
# /etc/systemd/system/a.service.d/50-gosched.conf
[Service]
ExecStart=
ExecStart=/bin/wrapped /bin/a
# /etc/systemd/system/a.service.d/60-user.conf
[Service]
User=nobody";
        let unit = Unit::parse(text, "50-gosched.conf");
        assert_eq!(unit.exec_start, ["/bin/a"]);
        assert!(unit.drops_root());
    }

    #[test]
    fn root_is_who_is_not_somebody_else() {
        for (service, drops) in [
            ("", false),
            ("User=root", false),
            ("User=www", true),
            ("User=www\nUser=", false),
            ("DynamicUser=yes", true),
        ] {
            assert_eq!(parse(service).drops_root(), drops, "{service}");
        }
    }

    #[test]
    fn users_and_a_root_of_its_own_are_what_is_assigned_last() {
        for (service, users, root) in [
            ("", false, false),
            ("PrivateUsers=yes\nRootDirectory=/srv/db", true, true),
            ("PrivateUsers=identity\nRootImage=/db.raw", true, true),
            ("PrivateUsers=yes\nPrivateUsers=Off", false, false),
            ("RootDirectory=/srv/db\nRootDirectory=/", false, false),
            ("RootImage=/db.raw\nRootImage=", false, false),
        ] {
            let unit = parse(service);
            assert_eq!(unit.private_users, users, "{service}");
            assert_eq!(unit.has_root_of_its_own(), root, "{service}");
        }
    }

    #[test]
    fn devices_are_limited_by_a_policy_or_a_list_that_is_not_taken_back() {
        for (service, limits) in [
            ("", false),
            ("DevicePolicy=auto", false),
            ("DevicePolicy=closed", true),
            ("DevicePolicy=strict\nDeviceAllow=", true),
            ("DevicePolicy=closed\nDevicePolicy=auto", false),
            ("DeviceAllow=/dev/sda r", true),
            ("DeviceAllow=/dev/sda r\nDeviceAllow=", false),
            (
                "DeviceAllow=/dev/sda r\nDeviceAllow=\nDeviceAllow=char-pts",
                true,
            ),
            ("PrivateDevices=yes\nDeviceAllow=", true),
            ("ProtectClock=yes", true),
        ] {
            assert_eq!(parse(service).limits_devices(), limits, "{service}");
        }
    }

    #[test]
    fn sets_of_capabilities_add_up() {
        for (service, may) in [
            ("", true),
            ("CapabilityBoundingSet=", false),
            ("CapabilityBoundingSet=~", true),
            ("CapabilityBoundingSet=CAP_CHOWN", false),
            (
                "CapabilityBoundingSet=CAP_CHOWN\nCapabilityBoundingSet=cap_sys_nice",
                true,
            ),
            ("CapabilityBoundingSet=~CAP_CHOWN", true),
            ("CapabilityBoundingSet=~CAP_CHOWN CAP_SYS_NICE", false),
        ] {
            assert_eq!(parse(service).may_have_nice(), may, "{service}");
        }
        assert!(!parse("").wants_nice());
        assert!(parse("AmbientCapabilities=CAP_SYS_NICE").wants_nice());
    }
}
