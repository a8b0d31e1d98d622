// SPDX-License-Identifier: GPL-2.0

//! Checks whether a service starts with the priority that `gosched systemd` gave it.

use std::path::Path;

use super::finding::Finding;
use crate::error::ServiceError;
use crate::systemd::DropInState;

/// Checks the drop-in of `service` on the system with the root directory `root`.
pub(super) fn unit(service: &str, root: &Path) -> Finding {
    const CHECK: &str = "unit";
    const ANEW: &str = "write the drop-in anew with \"gosched systemd\", and restart the service";

    match DropInState::read(service, root) {
        Ok(DropInState::InForce { drop_in }) => {
            let detail = format!("{service} starts as {} says", drop_in.display());
            Finding::ok(CHECK, detail)
        }
        Ok(DropInState::TakenBack { drop_in, by, key }) => {
            let (drop_in, by) = (drop_in.display(), by.display());
            let detail = format!(
                "{service} has lost its priority, and may have kept CAP_SYS_NICE: {by} takes \
                 back {key}= of {drop_in}"
            );
            Finding::fail(CHECK, detail, ANEW)
        }
        Ok(DropInState::Loosened { drop_in, by, key }) => {
            let (drop_in, by) = (drop_in.display(), by.display());
            let detail =
                format!("{service} has its priority, but {by} takes back {key}= of {drop_in}");
            Finding::warn(CHECK, detail, ANEW)
        }
        Ok(DropInState::NoWrapper { drop_in, wrapper }) => {
            let (drop_in, wrapper) = (drop_in.display(), wrapper.display());
            let detail = format!(
                "{service} cannot start: there is no program {wrapper}, which {drop_in} starts it by"
            );
            Finding::fail(CHECK, detail, ANEW)
        }
        Ok(DropInState::Lacking { drop_in, key }) => {
            let detail = format!(
                "{service} has lost its priority: its unit has changed, and {} lacks {key}=",
                drop_in.display()
            );
            Finding::fail(CHECK, detail, ANEW)
        }
        Ok(DropInState::Outdated { drop_in, key }) => {
            let drop_in = drop_in.display();
            let detail = format!("{service} has another {key}= now than {drop_in} was written for");
            Finding::warn(CHECK, detail, ANEW)
        }
        Ok(DropInState::Missing) => Finding::fail(
            CHECK,
            format!("{service} has no drop-in of gosched"),
            "write one with \"gosched systemd\", and restart the service",
        ),
        Err(error @ (ServiceError::NoUnit { .. } | ServiceError::Masked { .. })) => Finding::fail(
            CHECK,
            error.to_string(),
            "see \"systemctl status\" of the service",
        ),
        Err(error) if error.is_blind() => Finding::unknown(
            CHECK,
            format!("unknown whether {service} has its priority: {error}"),
            "put that right, and check again",
        ),
        Err(error) => Finding::fail(
            CHECK,
            format!("{service} has lost its priority, or cannot start: {error}"),
            ANEW,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::tests::assert_explained;
    use super::*;

    const UNIT: &str = "[Service]\nUser=db\nExecStart=-/bin/a b";
    const WRAPPED: &str = "\
[Service]
AllowedCPUs=2-5
CPUQuota=200%
Environment=GOMAXPROCS=2
SupplementaryGroups=gosched
AmbientCapabilities=CAP_SYS_NICE
LimitNICE=+0
ExecStart=
ExecStart=-/usr/bin/gosched run --try 32 --ceiling 50 -- \
/usr/bin/setpriv --ambient-caps -sys_nice --inh-caps -sys_nice -- /bin/a b
";

    /// A drop-in that shows the service the device.
    const BINDING: &str = "\
[Service]
BindPaths=-/dev/go_sched
ExecStart=
ExecStart=/usr/bin/gosched run --try 32 --ceiling 50 -- /bin/a b
";

    /// A system with the service `a`, its drop-ins, and the command where `WRAPPED` has it.
    fn system(drop_ins: &[(&str, &str)]) -> (TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let units = root.path().join("etc/systemd/system");
        let folder = units.join("a.service.d");
        fs::create_dir_all(&folder).expect("folders");
        fs::write(units.join("a.service"), UNIT).expect("a unit");
        for (name, text) in drop_ins {
            fs::write(folder.join(name), text).expect("a drop-in");
        }
        let bin = root.path().join("usr/bin");
        fs::create_dir_all(&bin).expect("folders");
        fs::write(bin.join("gosched"), "").expect("a program");
        set_mode(&root, 0o755);
        (root, folder)
    }

    /// Changes who may run the program that `WRAPPED` has.
    fn set_mode(root: &TempDir, mode: u32) {
        let program = root.path().join("usr/bin/gosched");
        fs::set_permissions(program, Permissions::from_mode(mode)).expect("its mode");
    }

    #[track_caller]
    fn assert_finding(root: &TempDir, verdict: &str, detail: &str) {
        let finding = unit("a.service", root.path());
        assert_eq!(finding.verdict.label(), verdict, "{}", finding.detail);
        assert!(finding.detail.contains(detail), "{}", finding.detail);
        if verdict != "ok" {
            assert_explained(&finding);
        }
    }

    #[test]
    fn a_priority_that_a_later_drop_in_takes_back_is_told() {
        for (files, verdict, detail) in [
            (&[][..], "FAIL", "has no drop-in"),
            (&[("50-gosched.conf", WRAPPED)], "ok", "starts as /etc/"),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("override.conf", "[Service]\nExecStart=\nExecStart=/bin/a c"),
                ],
                "FAIL",
                "override.conf takes back ExecStart= of",
            ),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("60-caps.conf", "[Service]\nAmbientCapabilities="),
                ],
                "FAIL",
                "60-caps.conf takes back AmbientCapabilities= of",
            ),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("60-caps.conf", "[Service]\nAmbientCapabilities=~23"),
                ],
                "FAIL",
                "60-caps.conf takes back AmbientCapabilities= of",
            ),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("60-caps.conf", "[Service]\nAmbientCapabilities=CAP_CHOWN"),
                ],
                "ok",
                "starts as",
            ),
            (
                &[
                    ("50-gosched.conf", BINDING),
                    ("60-later.conf", "[Service]\nBindReadOnlyPaths="),
                ],
                "FAIL",
                "60-later.conf takes back BindPaths= of",
            ),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("60-cpus.conf", "[Service]\nAllowedCPUs="),
                ],
                "warn",
                "has its priority, but /etc/systemd/system/a.service.d/60-cpus.conf takes back",
            ),
            (&[("50-gosched.conf", "")], "FAIL", "has no drop-in"),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("60-limit.conf", "[Service]\nLimitNICE="),
                ],
                "ok",
                "starts as",
            ),
            (
                &[
                    ("zz-gosched.conf", WRAPPED),
                    ("override.conf", "[Service]\nExecStart=\nExecStart=/bin/a c"),
                ],
                "warn",
                "another ExecStart=",
            ),
            (
                &[
                    ("50-gosched.conf", WRAPPED),
                    ("override.conf", "[Service]\nUser=nobody"),
                ],
                "ok",
                "starts as",
            ),
        ] {
            assert_finding(&system(files).0, verdict, detail);
        }
    }

    #[test]
    fn a_service_that_changed_and_takes_more_than_its_drop_in_has_is_told() {
        for (settings, verdict, detail) in [
            (
                "SystemCallFilter=~ioctl",
                "FAIL",
                "add \"SystemCallFilter=ioctl\"",
            ),
            (
                "NoExecPaths=/",
                "FAIL",
                "add \"ExecPaths=/usr/bin/gosched\"",
            ),
            (
                "InaccessiblePaths=/usr/bin",
                "FAIL",
                "InaccessiblePaths= of a.service hides",
            ),
            ("RootDirectory=/srv/a", "FAIL", "RootDirectory= or"),
            (
                "CapabilityBoundingSet=CAP_CHOWN",
                "FAIL",
                "lacks CAP_SYS_NICE",
            ),
            ("PrivateUsers=yes", "FAIL", "set PrivateUsers=no"),
            (
                "PrivateDevices=yes",
                "FAIL",
                "50-gosched.conf lacks BindPaths=",
            ),
            (
                "DeviceAllow=/dev/null rw",
                "FAIL",
                "50-gosched.conf lacks DeviceAllow=",
            ),
            ("User=root", "warn", "another ExecStart="),
            ("LimitNICE=+5", "warn", "another LimitNICE="),
            ("AllowedCPUs=1", "ok", "starts as"),
        ] {
            let later = format!("[Service]\n{settings}");
            let drop_ins = [("50-gosched.conf", WRAPPED), ("60-hard.conf", &*later)];
            assert_finding(&system(&drop_ins).0, verdict, detail);
        }
    }

    #[test]
    fn a_setting_that_gosched_does_not_write_is_told_by_its_name() {
        let quota = WRAPPED.replace("CPUQuota=200%", "CPUQuota=150.5%");
        let system = system(&[("50-gosched.conf", &quota)]);
        assert_finding(&system.0, "warn", "another CPUQuota=");
    }

    #[test]
    fn a_service_without_its_wrapper_cannot_start() {
        let (root, _) = system(&[("50-gosched.conf", WRAPPED)]);
        set_mode(&root, 0o644);
        assert_finding(&root, "FAIL", "there is no program /usr/bin/gosched");
        let program = root.path().join("usr/bin/gosched");
        fs::remove_file(&program).expect("it is there");
        assert_finding(&root, "FAIL", "there is no program /usr/bin/gosched");
        fs::create_dir(program).expect("a folder");
        assert_finding(&root, "FAIL", "there is no program /usr/bin/gosched");
    }

    #[test]
    fn what_cannot_be_looked_at_is_unknown_and_what_is_not_there_is_a_failure() {
        let (root, folder) = system(&[("50-gosched.conf", WRAPPED)]);
        // A link to itself, which root cannot read either.
        std::os::unix::fs::symlink("x.conf", folder.join("x.conf")).expect("a link");
        assert_finding(&root, "?", "x.conf");
        let none = unit("none.service", root.path());
        assert_eq!(none.verdict.label(), "FAIL", "{}", none.detail);
        let nowhere = unit("a.service", &root.path().join("nowhere"));
        assert_eq!(nowhere.verdict.label(), "?", "{}", nowhere.detail);
    }
}
