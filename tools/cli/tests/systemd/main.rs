// SPDX-License-Identifier: GPL-2.0

//! `gosched systemd`: what it writes is judged by systemd itself. The file
//! system is a temporary one, so that no service of this machine has a part in it.

#[path = "../common/mod.rs"]
mod common;
mod refused;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use common::LIMIT;
use snapbox::cmd::Command;
use tempfile::TempDir;

const UNITS: &str = "usr/lib/systemd/system";
const OUTPUT: &str = "etc/systemd/system";

/// A root directory with the unit `name`, and a program to start.
fn root(name: &str, service: &str) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    let units = root.path().join(UNITS);
    fs::create_dir_all(&units).expect("the folder of units");
    fs::write(units.join(name), format!("[Service]\n{service}\n")).expect("the unit");
    root
}

fn gosched(root: &Path, arguments: &[&str]) -> Output {
    gosched_at(Path::new(env!("CARGO_BIN_EXE_gosched")), root, arguments)
}

fn gosched_at(program: &Path, root: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(["systemd", "--root"])
        .arg(root)
        .args(arguments)
        // It has systemd-analyze colour what that prints, unless it is told otherwise.
        .env("SYSTEMD_COLORS", "1")
        .timeout(LIMIT)
        .output()
        .expect("gosched runs")
}

/// The drop-in of `service`, written into `root`.
fn written(root: &Path, service: &str, arguments: &[&str]) -> String {
    let output = root.join(OUTPUT);
    let output = ["--output", output.to_str().expect("UTF-8"), service];
    let done = gosched(root, &[arguments, &output].concat());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let folder = root.join(format!("{OUTPUT}/{service}.d"));
    let [early, late] =
        ["50-gosched.conf", "zz-gosched.conf"].map(|name| fs::read_to_string(folder.join(name)));
    match (early, late) {
        (Ok(text), Err(_)) | (Err(_), Ok(text)) => text,
        neither => panic!("not one drop-in in {}: {neither:?}", folder.display()),
    }
}

/// Adds a file to `root`.
fn add(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, text).expect("a file");
}

/// Has systemd read `service`, and returns its commands as systemd starts them.
fn commands(root: &Path, service: &str) -> Vec<String> {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no", "--root"])
        .arg(root)
        .arg(
            root.join(UNITS)
                .join(service)
                .strip_prefix(root)
                .expect("a path below it"),
        )
        .env("SYSTEMD_LOG_LEVEL", "debug")
        .current_dir(root)
        .timeout(LIMIT)
        .output()
        .expect("systemd-analyze is missing: install the package systemd");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let commands = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Command Line: "));
    commands.map(str::to_owned).collect()
}

/// Has systemd read `service` with its drop-in, and say what it does not like.
fn verify(root: &Path, service: &str) {
    // It looks for drop-ins next to the unit that it is given.
    let unit = root.join(UNITS).join(service);
    let drop_in = format!("{service}.d");
    symlink(
        root.join(OUTPUT).join(&drop_in),
        root.join(UNITS).join(&drop_in),
    )
    .expect("a link to the drop-in");
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(unit)
        .timeout(LIMIT)
        .output()
        .expect("systemd-analyze is missing: install the package systemd");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

fn lines_of<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

#[test]
fn a_service_gets_cpus_quota_and_priorities() {
    let root = root("db.service", "ExecStart=/bin/true --name \"a b\" $ARGS %i");
    let text = written(
        root.path(),
        "db.service",
        &[
            "--cpus",
            "2-5",
            "--prio",
            "32",
            "--ceiling",
            "50",
            "--quota",
            "200%",
        ],
    );
    assert_eq!(lines_of(&text, "AllowedCPUs"), ["2-5"]);
    assert_eq!(lines_of(&text, "CPUQuota"), ["200%"]);
    assert_eq!(lines_of(&text, "Environment"), ["GOMAXPROCS=2"]);
    let gosched = env!("CARGO_BIN_EXE_gosched");
    let command =
        format!("{gosched} run --try 32 --ceiling 50 -- /bin/true --name \"a b\" $ARGS %i");
    assert_eq!(lines_of(&text, "ExecStart"), ["", &*command]);
    assert!(!text.contains("AmbientCapabilities"), "{text}");
    verify(root.path(), "db.service");
}

/// The command, installed below a folder of this name.
fn installed(folder: &str) -> (TempDir, PathBuf) {
    // Where a link to it can be.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let program = dir.path().join(folder).join("gosched");
    fs::create_dir(dir.path().join(folder)).expect("a folder");
    fs::hard_link(env!("CARGO_BIN_EXE_gosched"), &program).expect("a link");
    (dir, program)
}

#[test]
fn systemd_finds_the_wrapper_whatever_its_folder_is_called() {
    for folder in ["a b", "100%n", "$HOME", "a;b", "${A} %% c"] {
        let (_dir, program) = installed(folder);
        let root = root("db.service", "ExecStart=:-/bin/true $A");
        let output = root.path().join(OUTPUT);
        let output = output.to_str().expect("UTF-8");
        let arguments = ["db", "--prio", "32", "--ceiling", "50", "--output", output];
        let done = gosched_at(&program, root.path(), &arguments);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        verify(root.path(), "db.service");
    }
    let (_dir, program) = installed("a'b");
    let root = root("db.service", "ExecStart=/bin/true");
    let done = gosched_at(
        &program,
        root.path(),
        &["db", "--prio", "32", "--ceiling", "50"],
    );
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("install gosched elsewhere"), "{said}");
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn a_semicolon_that_separates_nothing_is_an_argument() {
    let command = r#"/bin/sh -c "true ; true" \; x;"#;
    let root = root("db.service", &format!("ExecStart={command}"));
    let text = written(
        root.path(),
        "db.service",
        &["--prio", "32", "--ceiling", "50"],
    );
    assert!(lines_of(&text, "ExecStart")[1].ends_with(&format!(" -- {command}")));
    verify(root.path(), "db.service");
}

#[test]
fn a_service_with_a_user_has_the_capability_for_the_wrapper_alone() {
    let root = root(
        "web.service",
        "User=www-data\nPrivateDevices=yes\nExecStart=-/bin/true",
    );
    let text = written(
        root.path(),
        "web.service",
        &["--prio", "20", "--ceiling", "32"],
    );
    assert_eq!(lines_of(&text, "AmbientCapabilities"), ["CAP_SYS_NICE"]);
    assert_eq!(lines_of(&text, "SupplementaryGroups"), ["gosched"]);
    assert_eq!(lines_of(&text, "DeviceAllow"), ["/dev/go_sched rw"]);
    let commands = lines_of(&text, "ExecStart");
    let gosched = env!("CARGO_BIN_EXE_gosched");
    assert!(commands[1].starts_with(&format!("-{gosched} run --try 20 ")));
    assert!(commands[1].ends_with(" --ambient-caps -sys_nice --inh-caps -sys_nice -- /bin/true"));
    verify(root.path(), "web.service");
}

#[test]
fn a_service_that_may_open_all_devices_still_may() {
    let root = root(
        "db.service",
        "DeviceAllow=/dev/sda r\nDeviceAllow=\nExecStart=/bin/true",
    );
    let text = written(
        root.path(),
        "db.service",
        &["--prio", "32", "--ceiling", "50"],
    );
    assert_eq!(lines_of(&text, "DeviceAllow"), [""; 0]);
}

#[test]
fn a_second_time_wraps_the_service_and_not_the_wrapper() {
    let root = root("db.service", "ExecStart=/bin/true");
    let first = written(
        root.path(),
        "db.service",
        &["--prio", "32", "--ceiling", "50"],
    );
    let second = written(
        root.path(),
        "db.service",
        &["--prio", "32", "--ceiling", "50"],
    );
    assert_eq!(first, second);
}

#[test]
fn an_instance_has_the_unit_of_its_template() {
    let root = root("db@.service", "ExecStart=/bin/true %i");
    let text = written(
        root.path(),
        "db@main.service",
        &["--prio", "32", "--ceiling", "50"],
    );
    assert!(lines_of(&text, "ExecStart")[1].ends_with("-- /bin/true %i"));
}

#[test]
fn systemd_starts_the_command_of_the_unit_however_it_is_written() {
    for command in [
        "/bin/true \"a b\" 'c \\'d' e\\x20f",
        "\"-/bin/true\" a",
        "-\"/bin/true\" 'a b'",
        r"/bin\x2ftrue a",
        "/bin/true a \\\n# why\n  ; why\n  b",
        "/bin/true a \\\\\nNice=1",
        "/bin/true %% %n $A ${B} \\; c",
        "true a",
        ":!!/bin/true $A",
    ] {
        let root = root("db.service", &format!("ExecStart={command}"));
        let before = commands(root.path(), "db.service");
        assert_eq!(before.len(), 1, "{command}: {before:?}");
        written(
            root.path(),
            "db.service",
            &["--prio", "32", "--ceiling", "50"],
        );
        let wrapper = format!(
            "{} run --try 32 --ceiling 50 -- ",
            env!("CARGO_BIN_EXE_gosched")
        );
        let after = commands(root.path(), "db.service");
        let [after] = &*after else {
            panic!("{command}: {after:?}");
        };
        let started = after
            .strip_prefix(&wrapper)
            .unwrap_or_else(|| panic!("{command}: {after}"));
        // systemd looks for a name without a path in the same folders as gosched.
        assert!(
            before[0].ends_with(started),
            "{command}: {} and {after}",
            before[0]
        );
    }
}

#[test]
fn the_drop_in_sorts_behind_what_would_take_it_back() {
    let priorities = ["--prio", "32", "--ceiling", "50"];
    for (name, text, late) in [
        (
            "override.conf",
            "[Service]\nExecStart=\nExecStart=/bin/false",
            true,
        ),
        (
            "60-user.conf",
            "[Service]\nUser=www-data\nAmbientCapabilities=",
            true,
        ),
        (
            "60-user.conf",
            "[Service]\nUser=www-data\nAllowedCPUs=0",
            false,
        ),
        (
            "40-user.conf",
            "[Service]\nExecStart=\nExecStart=/bin/false",
            false,
        ),
    ] {
        let root = root("db.service", "ExecStart=/bin/true");
        let root = root.path();
        written(root, "db.service", &priorities);
        add(root, &format!("{OUTPUT}/db.service.d/{name}"), text);
        // One of the two names remains.
        let text = written(root, "db.service", &priorities);
        let late_file = root.join(OUTPUT).join("db.service.d/zz-gosched.conf");
        assert_eq!(late_file.exists(), late, "{name}");
        let command = lines_of(&text, "ExecStart")[1];
        let started = commands(root, "db.service");
        assert_eq!(started, [command], "{name}");
    }
    let root = root("db.service", "ExecStart=/bin/true");
    let path = "run/systemd/system/service.d/zzz.conf";
    add(
        root.path(),
        path,
        "[Service]\nExecStart=\nExecStart=/bin/false",
    );
    let done = gosched(root.path(), &[&["db"], &priorities[..]].concat());
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        said.contains("/zzz.conf sorts after zz-gosched.conf"),
        "{said}"
    );
}

#[test]
fn a_drop_in_that_cannot_be_written_leaves_nothing_behind() {
    let root = root("db.service", "ExecStart=/bin/true");
    let output = root.path().join(OUTPUT);
    let write = |limit: &str| {
        let done = Command::new("sh")
            .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
            .args([env!("CARGO_BIN_EXE_gosched"), "systemd", "--root"])
            .args([root.path(), "--output".as_ref(), &output])
            .args(["--prio", "32", "--ceiling", "50", "db.service"])
            .timeout(LIMIT)
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.starts_with("gosched: cannot write "), "{said}");
        let left = fs::read_dir(output.join("db.service.d")).expect("its folder");
        Vec::from_iter(left.map(|entry| entry.expect("an entry").file_name()))
    };
    assert!(write("ulimit -f 0").is_empty());
    // Where the name is that of a folder.
    add(
        root.path(),
        &format!("{OUTPUT}/db.service.d/50-gosched.conf/x"),
        "",
    );
    assert_eq!(write(":"), ["50-gosched.conf"]);
}

#[test]
fn an_alias_gets_the_drop_in_of_the_real_name() {
    let root = root("db.service", "ExecStart=/bin/true");
    fs::create_dir_all(root.path().join(OUTPUT)).expect("folders");
    let alias = root.path().join(OUTPUT).join("store.service");
    symlink("/usr/lib/systemd/system/db.service", alias).expect("a link");
    let output = root.path().join(OUTPUT);
    let output = ["--output", output.to_str().expect("UTF-8")];
    let arguments = [&["store", "--prio", "32", "--ceiling", "50"], &output[..]].concat();
    assert!(gosched(root.path(), &arguments).status.success());
    assert!(root
        .path()
        .join(OUTPUT)
        .join("db.service.d/50-gosched.conf")
        .exists());
}

#[test]
fn without_go_sched_the_service_starts_and_its_threads_come_back() {
    for (service, prio, limit) in [
        ("", "32", Some("+0")),
        ("", "20", Some("+0")),
        ("", "40", Some("-8")),
        ("", "50", Some("-15")),
        ("Nice=5", "20", Some("+5")),
        ("Nice=-10\nNice=", "32", Some("+0")),
        ("SystemCallFilter=@system-service", "32", Some("+0")),
        ("Nice=-20", "40", Some("-20")),
        ("LimitNICE=+3", "40", None),
    ] {
        let root = root(
            "db.service",
            &format!("User=www-data\nExecStart=/bin/true\n{service}"),
        );
        let arguments = ["--prio", prio, "--ceiling", "50"];
        let text = written(root.path(), "db.service", &arguments);
        assert_eq!(
            lines_of(&text, "LimitNICE"),
            Vec::from_iter(limit),
            "{service}, {prio}"
        );
        assert!(
            lines_of(&text, "ExecStart")[1].contains(" run --try "),
            "{text}"
        );
        verify(root.path(), "db.service");

        let text = written(
            root.path(),
            "db.service",
            &[&arguments[..], &["--strict"]].concat(),
        );
        assert_eq!(lines_of(&text, "LimitNICE"), [""; 0]);
        assert!(!text.contains("--try"), "{text}");
    }
}
