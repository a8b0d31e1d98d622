// SPDX-License-Identifier: GPL-2.0

//! Services that get no drop-in, and settings of all services that count for that.

use std::env::consts::ARCH;

use super::add;
use super::gosched;
use super::lines_of;
use super::root;
use super::written;
use super::OUTPUT;

#[test]
fn hardening_of_all_services_or_of_a_prefix_counts() {
    for (drop_in, settings, sentence) in [
        (
            "service.d",
            "CapabilityBoundingSet=CAP_CHOWN",
            "lacks CAP_SYS_NICE",
        ),
        ("app-.service.d", "PrivateUsers=yes", "set PrivateUsers=no"),
    ] {
        let root = root("app-web.service", "ExecStart=/bin/true");
        add(
            root.path(),
            &format!("{OUTPUT}/{drop_in}/10-hard.conf"),
            &format!("[Service]\n{settings}"),
        );
        let done = gosched(root.path(), &["app-web", "--prio", "32", "--ceiling", "50"]);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.contains(sentence), "{said}");
    }
    let root = root("app-web.service", "ExecStart=/bin/true\nUser=www-data");
    add(
        root.path(),
        &format!("{OUTPUT}/service.d/05-hard.conf"),
        "[Service]\nPrivateDevices=yes",
    );
    let text = written(
        root.path(),
        "app-web.service",
        &["--prio", "32", "--ceiling", "50"],
    );
    assert_eq!(lines_of(&text, "BindPaths"), ["-/dev/go_sched"]);
}

#[test]
fn what_cannot_be_is_one_sentence_and_writes_nothing() {
    let priorities = ["--prio", "32", "--ceiling", "50"];
    for (service, arguments, sentence) in [
        (
            "",
            &["none", "--prio", "1", "--ceiling", "2"][..],
            "there is no unit file of none.service",
        ),
        (
            "",
            &["db", "--prio", "50", "--ceiling", "32"],
            "give a ceiling of 50 or more",
        ),
        (
            "",
            &["db", "--prio", "32", "--ceiling", "64"],
            "priority 64 is outside 0..63",
        ),
        (
            "",
            &["db", "--prio", "low"],
            "priority 'low' is not a number",
        ),
        ("", &["db", "--prio", "-1"], "priority -1 is outside 0..63"),
        (
            "",
            &["a/db", "--prio", "1", "--ceiling", "2"],
            "'a/db' is not the name of a service",
        ),
        (
            "",
            &["db.timer", "--prio", "1", "--ceiling", "2"],
            "db.timer is not a service",
        ),
        (
            "",
            &["db", "--prio", "1", "--ceiling", "2", "--cpus", "x"],
            "'x' is not a list of CPUs",
        ),
        (
            "",
            &["db", "--prio", "1", "--ceiling", "2", "--cpus", "3-1"],
            "write 1-3",
        ),
        (
            "",
            &["db", "--prio", "1", "--ceiling", "2", "--quota", "2"],
            "'2' is not a quota",
        ),
        ("Type=oneshot", &["db"], "db.service has no ExecStart="),
        ("ExecStart=@/bin/true t", &["db"], "write it without"),
        (
            "ExecStart=/bin/true ; /bin/true",
            &["db"],
            "several commands in one line",
        ),
        (
            "ExecStart=/bin/true\nCapabilityBoundingSet=",
            &["db"],
            "lacks CAP_SYS_NICE",
        ),
        (
            "ExecStart=/bin/true\nPrivateUsers=yes",
            &["db"],
            "set PrivateUsers=no",
        ),
        (
            "ExecStart=/bin/true\nRootDirectory=/srv/db",
            &["db"],
            "\"gosched run 32 --ceiling 50 --\" before the command",
        ),
        (
            "ExecStart=\"/bin/true",
            &["db"],
            "names no program, or has a quote without an end",
        ),
        (
            "ExecStart=/bin/true\n[Service",
            &["db"],
            "/usr/lib/systemd/system/db.service has a line that is not UTF-8",
        ),
        (
            "User=www-data\nExecStart=/bin/true\nSystemCallFilter=@system-service\n\
             SystemCallFilter=~@privileged @resources",
            &["db"],
            "add \"SystemCallFilter=capset\"",
        ),
        (
            "ExecStart=/bin/true\nSystemCallFilter=~ioctl",
            &["db"],
            "add \"SystemCallFilter=ioctl\"",
        ),
        (
            "ExecStart=/bin/true\nNoExecPaths=/\nExecPaths=/bin/true",
            &["db"],
            concat!("add \"ExecPaths=", env!("CARGO_BIN_EXE_gosched"), "\""),
        ),
        (
            concat!(
                "ExecStart=/bin/true\nInaccessiblePaths=-",
                env!("CARGO_BIN_EXE_gosched")
            ),
            &["db"],
            "InaccessiblePaths= of db.service hides",
        ),
        (
            "ExecStart=/bin/true\nInaccessiblePaths=/dev/go_sched",
            &["db"],
            "InaccessiblePaths= of db.service hides /dev/go_sched",
        ),
    ] {
        let root = root("db.service", service);
        let output = root.path().join(OUTPUT);
        let output = ["--output", output.to_str().expect("UTF-8")];
        let priorities: &[_] = if service.is_empty() { &[] } else { &priorities };
        let done = gosched(root.path(), &[arguments, priorities, &output].concat());
        let said = String::from_utf8_lossy(&done.stderr);
        // A wrong command line, or a service that cannot be wrapped.
        let is_misuse = service.is_empty() && arguments[0] != "none";
        let status = if is_misuse { 2 } else { 1 };
        assert_eq!(done.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(
            said.starts_with("gosched: ") && said.contains(sentence),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!root.path().join("etc").exists(), "{arguments:?} wrote");
    }
}

#[test]
fn the_libraries_of_setpriv_count_where_a_service_has_a_user() {
    // This program may take the C library itself.
    for (name, user, refused) in [
        ("libcap-ng.so.0", "root", false),
        ("libcap-ng.so.0", "db", true),
        ("libc.so.6", "db", true),
    ] {
        let library = format!("/usr/lib/{ARCH}-linux-gnu/{name}");
        let service = format!("User={user}\nExecStart=/bin/true\nNoExecPaths={library}");
        let root = root("db.service", &service);
        add(root.path(), &format!(".{library}"), "");
        let done = gosched(root.path(), &["db", "--prio", "32", "--ceiling", "50"]);
        let said = String::from_utf8_lossy(&done.stderr);
        let named = said.contains(&format!("add \"ExecPaths={library}\""));
        assert_eq!(named, refused, "{said}");
    }
}
