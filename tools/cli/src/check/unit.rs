// SPDX-License-Identifier: GPL-2.0

//! Checks whether a service starts with the priority that `gosched systemd` gave it.

use std::path::Path;

use super::finding::Finding;
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
        Ok(DropInState::Outdated { drop_in }) => {
            let drop_in = drop_in.display();
            let detail = format!("{service} has another ExecStart= now than {drop_in} starts");
            Finding::warn(CHECK, detail, ANEW)
        }
        Ok(DropInState::Missing) => Finding::fail(
            CHECK,
            format!("{service} has no drop-in of gosched"),
            "write one with \"gosched systemd\", and restart the service",
        ),
        Err(error) => Finding::fail(
            CHECK,
            error.to_string(),
            "see \"systemctl status\" of the service",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const WRAPPED: &str = "[Service]\nAmbientCapabilities=CAP_SYS_NICE\nExecStart=\n\
                           ExecStart=-/usr/bin/gosched run --try 32 --ceiling 50 -- /bin/a b\n";

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
            let root = tempfile::tempdir().expect("a temporary directory");
            let units = root.path().join("etc/systemd/system");
            let drop_ins = units.join("a.service.d");
            fs::create_dir_all(&drop_ins).expect("folders");
            fs::write(units.join("a.service"), "[Service]\nExecStart=-/bin/a b").expect("a unit");
            for (name, text) in files {
                fs::write(drop_ins.join(name), text).expect("a drop-in");
            }
            let finding = unit("a.service", root.path());
            assert_eq!(
                finding.verdict.label(),
                verdict,
                "{files:?}: {}",
                finding.detail
            );
            assert!(finding.detail.contains(detail), "{}", finding.detail);
        }
    }
}
