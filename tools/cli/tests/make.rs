// SPDX-License-Identifier: GPL-2.0

//! What `make` refuses, removes and reports. Nothing is built: a folder of programs that say
//! what this machine has, and note that they were called, comes before all others.

mod common;

use std::env;
use std::fmt::Display;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::symlink;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use common::LIMIT;
use snapbox::cmd::Command;
use snapbox::IntoData;
use tempfile::TempDir;

const TREE: &str = "../..";
/// Programs that build, or that change the system.
const BUILDERS: [&str; 9] = [
    "apt-get", "cargo", "cc", "curl", "go", "pip", "python3", "sudo", "tar",
];

/// A machine that does not depend on this one.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Returns a machine with free space on the disk and free memory, in MiB.
    fn new(disk: u32, memory: u32) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::create_dir(machine.path("bin")).expect("room");
        machine.program("df", &format!("printf 'Avail\\n{disk}M\\n'"));
        // scripts/check-machine adds up /proc/meminfo by it.
        machine.program("awk", &format!("echo {memory}"));
        for builder in BUILDERS {
            machine.program(
                builder,
                "echo \"${0##*/} $*\" >>\"${0%/*}/../called\"; exit 1",
            );
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a program with the text of a shell script.
    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("room");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("the owner");
    }

    /// Returns which builders were called, a line each.
    fn called(&self) -> String {
        fs::read_to_string(self.path("called")).unwrap_or_default()
    }

    /// Returns a command in the source tree, with the programs of this machine.
    fn command(&self, program: &str) -> Command {
        let path = env::var("PATH").expect("a path");
        let bin = self.path("bin");
        Command::new(program)
            .timeout(LIMIT)
            .current_dir(TREE)
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("TOOLCHAIN", bin)
            .env("HOME", self.folder.path())
            .env("GO_SCHED_STEPS", "quiet")
            .env("GO_SCHED_CACHE", self.path("cache"))
    }

    fn make(&self, arguments: &[&str]) -> Command {
        self.command("make")
            .arg("--no-print-directory")
            .args(arguments)
    }
}

fn output(command: Command) -> Output {
    command.output().expect("make and bash")
}

/// Returns what a command that fails says first, without what make adds.
fn refusal(command: Command) -> String {
    let output = output(command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.expect("a message");
    let line = line.split_once(": *** ").map_or(line, |(_, line)| line);
    line.trim_end_matches(".  Stop.").to_owned()
}

/// Returns the targets that `make` shows to a newcomer, without those that only remove or tell.
fn targets(machine: &Machine) -> Vec<String> {
    let help = output(machine.make(&["help"]));
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let lines = help.lines().filter_map(|line| line.strip_prefix("make "));
    let names = lines.filter_map(|line| line.split(' ').next());
    let names = names.filter(|name| !["clean", "where"].contains(name));
    names.map(str::to_owned).collect()
}

#[test]
fn no_target_begins_what_a_full_disk_would_end() {
    let machine = Machine::new(5, 9000);
    let targets = targets(&machine);
    assert!(targets.len() > 15, "{targets:?}");
    for target in &targets {
        let text = refusal(machine.make(&[target]));
        assert!(text.ends_with("another folder"), "{target}: {text}");
        assert!(
            text.contains("and 5 MiB are free there"),
            "{target}: {text}"
        );
        assert_eq!(machine.called(), "", "{target}");
    }
}

#[test]
fn room_is_asked_for_that_the_kernel_of_the_target_takes() {
    let machine = Machine::new(600, 9000);
    let ordinary = machine.path("cache/linux-6.12/build");
    fs::create_dir_all(&ordinary).expect("room");
    fs::write(ordinary.join(".go_sched_stamp"), "").expect("room");
    for target in [
        "test-debug",
        "test-scx",
        "test-bpf",
        "torture",
        "fuzz",
        "deb",
    ] {
        let text = refusal(machine.make(&[target]));
        assert!(text.contains("takes up to 4000 MiB"), "{target}: {text}");
    }
    // Another one of the same call needs no kernel.
    let done = output(machine.make(&["--keep-going", "install", "test-debug"]));
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(text.contains("takes up to 4000 MiB"), "{text}");
    assert!(output(machine.make(&["machine-kernel"])).status.success());
}

#[test]
fn clean_removes_all_that_was_built_and_nothing_else() {
    let machine = Machine::new(9000, 9000);
    let cache = machine.path("cache");
    let clean = || output(machine.make(&["clean"])).status.success();
    assert!(clean(), "nothing was built");
    assert!(!cache.exists());

    for name in built() {
        fs::create_dir_all(cache.join(&name).join("folder")).expect("room");
    }
    // The cache of Go has such folders.
    let folder = cache.join("go-build/folder");
    fs::write(folder.join("file"), "").expect("room");
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).expect("the owner");
    fs::write(cache.join("other"), "").expect("room");
    assert!(clean());
    let left: Vec<_> = fs::read_dir(&cache).expect("the folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");

    fs::remove_file(cache.join("other")).expect("the file");
    assert!(clean() && !cache.exists());
}

/// Returns the names in the cache that are written to, as the sources have them. Of names with
/// a variable part, the rest is made up.
fn built() -> Vec<String> {
    let mut names = vec!["accel-1".to_owned()];
    let scripts = fs::read_dir(format!("{TREE}/scripts")).expect("the folder");
    let mut files: Vec<_> = scripts
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.extend(
        ["Makefile", "kernel/build", "packaging/build"].map(|name| Path::new(TREE).join(name)),
    );
    for file in files {
        let text = fs::read_to_string(file).expect("a source");
        for marker in ["$(GO_SCHED_CACHE)/", "$GO_SCHED_CACHE/"] {
            names.extend(text.split(marker).skip(1).filter_map(|rest| {
                let end = |c: char| !c.is_alphanumeric() && !"-.".contains(c);
                let name = rest.split(end).next()?;
                (!name.is_empty()).then(|| match name.ends_with('-') {
                    true => format!("{name}6.12"),
                    false => name.to_owned(),
                })
            }));
        }
    }
    assert!(names.len() > 15, "{names:?}");
    names
}

/// Returns a run of the tests whose programs are made up: one on this machine, which fails if
/// TEST is "broken", and one in the guest, with a test "guest::works".
fn run_tests(machine: &Machine, test: &str) -> Output {
    fs::create_dir_all(machine.path("cache/log")).expect("room");
    fs::remove_file(machine.path("bin/awk")).expect("the program");
    let program = machine.path("bin/program-1");
    machine.program("program-1", "echo 'guest::works: test'");
    machine.program("rustc", "echo 'rustc 99.0.0 (made up)'");
    machine.program("go", "echo \"$*\" >\"${0%/*}/../go\"");
    machine.program(
        "cargo",
        &format!(
            "case $* in
            *--no-run*) echo '  Executable tests/main.rs ({})' ;;
            *broken) printf 'test host::broken ... FAILED\\ntest result: F. 0 passed; 1 failed; 0 ignored\\n'; exit 101 ;;
            *) echo 'test result: ok. 0 passed; 0 failed; 0 ignored' ;;
            esac",
            program.display()
        ),
    );
    output(machine.command("scripts/run-tests").env("TEST", test))
}

#[test]
fn a_test_that_there_is_not_is_a_failure() {
    let machine = Machine::new(9000, 9000);
    let output = run_tests(&machine, "no(such");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.ends_with("No test ran with \"no(such\" in its name\n"),
        "{text}"
    );
    // Go takes an expression, and the others a part of the name.
    let go = fs::read_to_string(machine.path("go")).expect("it was called");
    assert!(go.contains(r"-run \Qno(such"), "{go}");
}

#[test]
fn a_run_of_the_tests_ends_with_the_names_of_those_that_failed() {
    let output = run_tests(&Machine::new(9000, 9000), "broken");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    let end = "FAILED, see above:\n  host::broken\nmake test TEST=NAME runs one of them again.\n";
    assert!(text.ends_with(end), "{text}");
}

/// The page quotes each message in a block "message make", and no other; "[..]" there stands
/// for any text.
#[test]
fn the_guide_explains_what_make_says() {
    let page = fs::read_to_string(format!("{TREE}/docs/troubleshooting.md")).expect("the page");
    let mut quoted: Vec<&str> = page
        .split("\n```message make\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .flat_map(str::lines)
        .collect();
    for message in messages() {
        let explained = quoted.iter().position(|line| matches(line, &message));
        quoted.remove(explained.unwrap_or_else(|| panic!("the page does not explain: {message}")));
    }
    assert!(quoted.is_empty(), "nothing says: {quoted:#?}");
}

fn matches(line: &str, message: &str) -> bool {
    let (actual, expected) = (message.into_data(), line.into_data());
    let assert = snapbox::Assert::new();
    assert
        .try_eq(None::<&dyn Display>, actual.raw(), expected)
        .is_ok()
}

/// Returns each message of make that says what to do.
fn messages() -> Vec<String> {
    let machine = Machine::new(9000, 9000);
    let clone = machine.path("a clone");
    fs::create_dir(&clone).expect("room");
    symlink(
        fs::canonicalize(TREE).expect("the tree").join("Makefile"),
        clone.join("Makefile"),
    )
    .expect("room");
    let cached = |path: PathBuf| refusal(machine.make(&["demo"]).env("GO_SCHED_CACHE", path));
    let (file, kernel) = (machine.path("called/cache"), machine.path("kernel"));
    let build = format!("KDIR={}", kernel.display());
    fs::write(machine.path("called"), "").expect("room");

    let mut messages = vec![
        refusal(machine.make(&["demo"]).current_dir(clone)),
        cached("cache".into()),
        refusal(machine.make(&["demo", "VARIANT=other"])),
        refusal(machine.make(&["module", &build])),
    ];
    for unusable in ["a cache", "[cache]"] {
        let text = cached(machine.path(unusable));
        assert!(text.ends_with("blanks and special characters"), "{text}");
    }
    fs::create_dir(&kernel).expect("room");
    fs::write(kernel.join("Module.symvers"), "").expect("room");
    messages.extend([
        refusal(machine.make(&["module", &build])),
        cached(file),
        refusal(Machine::new(5, 9000).make(&["demo"])),
        refusal(Machine::new(9000, 12).make(&["demo"])),
        refusal(
            machine
                .make(&["uninstall"])
                .env("DESTDIR", machine.folder.path()),
        ),
    ]);
    assert_eq!(machine.called(), "");

    // A step that fails tells last what to do.
    let last = |machine: &Machine| {
        let log = machine.path("log");
        let script = format!(
            "source scripts/step.sh; step {} Building false",
            log.display()
        );
        let output = output(machine.command("bash").args(["-c", &script]));
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        text.lines().last().expect("a message").to_owned()
    };
    messages.extend([last(&machine), last(&Machine::new(5, 9000))]);
    let none = run_tests(&machine, "other");
    let none = String::from_utf8(none.stderr).expect("UTF-8");
    messages.extend(none.lines().last().map(str::to_owned));
    messages
}
