// SPDX-License-Identifier: GPL-2.0

//! The settings of a service that a drop-in depends on, see systemd.exec(5) and
//! systemd.resource-control(5).

use std::collections::BTreeSet;

use super::files::Source;
use super::sandbox::Sandbox;
use super::syntax::boolean;
use super::syntax::words;

const CAP_SYS_NICE: &str = "cap_sys_nice";
/// Number of that capability, which systemd takes as a name too.
const CAP_SYS_NICE_NUMBER: &str = "23";

/// The settings of a service that the drop-in depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Commands as the unit has them, with prefixes, quotes and variables.
    pub(crate) exec_start: Vec<String>,
    user: String,
    pub(crate) private_devices: bool,
    pub(crate) private_users: bool,
    root_directory: bool,
    root_image: bool,
    protect_clock: bool,
    /// True if `DevicePolicy=` is other than `auto`.
    closed_devices: bool,
    /// True if `DeviceAllow=` has a list.
    allows_devices: bool,
    bounding: Capabilities,
    ambient: Option<Capabilities>,
    /// Nice value that the service starts at.
    pub(crate) nice: i32,
    /// True if the unit has a `LimitNICE=` of its own.
    pub(crate) limits_nice: bool,
    pub(crate) sandbox: Sandbox,
}

/// A set of capabilities: all but those in `names`, or these if `listed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Capabilities {
    listed: bool,
    names: BTreeSet<String>,
}

impl Unit {
    /// Puts the settings of the files of `service` together.
    pub(crate) fn new<'a>(service: &str, files: impl IntoIterator<Item = &'a Source>) -> Self {
        let mut unit = Self {
            sandbox: Sandbox::new(service),
            ..Self::default()
        };
        for (key, value) in files.into_iter().flat_map(|file| &file.settings) {
            unit.assign(key, value);
        }
        unit
    }

    fn assign(&mut self, key: &str, value: &str) {
        // systemd ignores what is none.
        let set = |flag: &mut bool| *flag = boolean(value).unwrap_or(*flag);
        match key {
            "ExecStart" if value.is_empty() => self.exec_start.clear(),
            "ExecStart" => self.exec_start.push(value.to_owned()),
            "User" => value.clone_into(&mut self.user),
            "PrivateDevices" => set(&mut self.private_devices),
            // Newer versions know words for several kinds of them.
            "PrivateUsers" if !value.is_empty() => {
                self.private_users = boolean(value) != Some(false)
            }
            "RootDirectory" => self.root_directory = !matches!(value, "" | "/"),
            "RootImage" => self.root_image = !value.is_empty(),
            "ProtectClock" => set(&mut self.protect_clock),
            "DevicePolicy" => match value {
                "auto" => self.closed_devices = false,
                "closed" | "strict" => self.closed_devices = true,
                _ => (),
            },
            "DeviceAllow" => self.allows_devices = !value.is_empty(),
            "CapabilityBoundingSet" => self.bounding.assign(value, &Capabilities::default()),
            "AmbientCapabilities" => {
                let none = Capabilities::none();
                self.ambient
                    .get_or_insert(none.clone())
                    .assign(value, &none);
            }
            "Nice" if value.is_empty() => self.nice = 0,
            "Nice" => {
                let nice = value.parse().ok();
                self.nice = nice
                    .filter(|nice| (-20..=19).contains(nice))
                    .unwrap_or(self.nice);
            }
            // An empty one takes nothing back.
            "LimitNICE" if !value.is_empty() => self.limits_nice = true,
            _ => self.sandbox.assign(key, value),
        }
    }

    /// Returns whether the service sees another root directory than that of the system.
    pub(crate) fn has_root_of_its_own(&self) -> bool {
        self.root_directory || self.root_image
    }

    /// Returns whether the service may open only listed devices. With the policy `auto`, any
    /// list limits it, and an empty assignment takes back the whole list.
    pub(crate) fn limits_devices(&self) -> bool {
        // PrivateDevices= closes the policy, ProtectClock= lists a device.
        self.closed_devices || self.allows_devices || self.private_devices || self.protect_clock
    }

    /// Returns whether the service starts as another user than root.
    pub(crate) fn drops_root(&self) -> bool {
        self.sandbox.dynamic_user || !matches!(&*self.user, "" | "root" | "0")
    }

    /// Returns whether a process of the service may have `CAP_SYS_NICE`.
    pub(crate) fn may_have_nice(&self) -> bool {
        self.bounding.has_nice()
    }

    /// Returns whether the service asks for `CAP_SYS_NICE` itself.
    pub(crate) fn wants_nice(&self) -> bool {
        self.ambient.as_ref().is_some_and(Capabilities::has_nice)
    }
}

impl Capabilities {
    fn none() -> Self {
        Self {
            listed: true,
            names: BTreeSet::new(),
        }
    }

    /// Follows an assignment: it adds to a set that is not the `initial` one, with `~` it
    /// takes away, and without a name it replaces.
    fn assign(&mut self, value: &str, initial: &Self) {
        let (listed, value) = match value.strip_prefix('~') {
            Some(value) => (false, value),
            None => (true, value),
        };
        let name = |word: &str| match word {
            CAP_SYS_NICE_NUMBER => CAP_SYS_NICE.to_owned(),
            name => name.to_lowercase(),
        };
        let names: BTreeSet<_> = words(value).iter().map(|word| name(word)).collect();
        if names.is_empty() || self == initial {
            *self = Self { listed, names };
        } else if self.listed == listed {
            self.names.extend(names);
        } else {
            self.names.retain(|name| !names.contains(name));
        }
    }

    fn has_nice(&self) -> bool {
        self.names.contains(CAP_SYS_NICE) == self.listed
    }
}

/// Returns whether this value of `AmbientCapabilities=` takes `CAP_SYS_NICE` away.
pub(super) fn takes_nice(value: &str) -> bool {
    let none = Capabilities::none();
    let mut set = none.clone();
    set.assign(CAP_SYS_NICE, &none);
    set.assign(value, &none);
    !set.has_nice()
}

#[cfg(test)]
mod tests {
    use super::super::syntax::settings;
    use super::*;

    fn parse(service: &str) -> Unit {
        let file = Source {
            path: "/etc/systemd/system/a.service".into(),
            settings: settings(format!("[Service]\n{service}").as_bytes()),
        };
        Unit::new("a.service", &[file])
    }

    #[test]
    fn an_empty_command_takes_back_those_before() {
        let unit = parse("ExecStart=/bin/a\nExecStart=\nExecStart=/bin/b\nExecStart=/bin/c");
        assert_eq!(unit.exec_start, ["/bin/b", "/bin/c"]);
    }

    #[test]
    fn what_is_no_value_of_a_setting_changes_nothing() {
        let set = "DynamicUser=yes\nPrivateUsers=yes\nDevicePolicy=closed\nNice=5\nLimitNICE=+5\n";
        let unit = parse(set);
        assert_eq!(
            unit,
            parse(&format!(
                "{set}DynamicUser=x\nPrivateUsers=\nDevicePolicy=x\nNice=x\nNice=-50\nLimitNICE="
            ))
        );
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
            ("CapabilityBoundingSet=\"CAP_SYS_NICE\"", true),
            ("CapabilityBoundingSet=~CAP_CHOWN", true),
            ("CapabilityBoundingSet=~CAP_CHOWN CAP_SYS_NICE", false),
            (
                "CapabilityBoundingSet=~23\nCapabilityBoundingSet=CAP_SYS_NICE",
                true,
            ),
            (
                "CapabilityBoundingSet=~\nCapabilityBoundingSet=CAP_CHOWN",
                false,
            ),
            (
                "CapabilityBoundingSet=CAP_CHOWN 23\nCapabilityBoundingSet=~CAP_CHOWN",
                true,
            ),
        ] {
            assert_eq!(parse(service).may_have_nice(), may, "{service}");
        }
        assert!(!parse("").wants_nice());
        assert!(parse("AmbientCapabilities=CAP_SYS_NICE").wants_nice());
        assert!(parse("AmbientCapabilities=~CAP_CHOWN").wants_nice());
        assert!(!parse("AmbientCapabilities=CAP_SYS_NICE\nAmbientCapabilities=").wants_nice());
    }
}
