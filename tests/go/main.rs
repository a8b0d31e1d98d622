// SPDX-License-Identifier: GPL-2.0

//! The packages of the Go module keep their promises on the patched kernel, as root and as
//! an unprivileged user.
//!
//! What a test needs is in its name, see `go/helpers_test.go`.

use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use common::deadline::await_output_within;
use common::deadline::output_of;
use common::deadline::TEST_DEADLINE;
use common::device::PublicDevice;
use common::module::unload;
use common::module::Reloaded;
use common::USER;
use go_test_program::PROGRAMS;
use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;

/// The user who runs a test, and the access to the device.
#[derive(Clone, Copy, Debug)]
enum Setting {
    /// Root.
    Root,
    /// A user who may open the device.
    User,
    /// A user who may not open the device.
    Denied,
    /// Root, and the module is not loaded.
    Absent,
}

/// The settings in which tests run, by the prefix of their names.
const SETTINGS: [(&str, &[Setting]); 10] = [
    ("TestOverlayKernel", &[Setting::Root, Setting::User]),
    ("TestOverlayDenied", &[Setting::Denied]),
    ("TestOverlayAbsent", &[Setting::Absent]),
    ("TestAny", &[Setting::Root, Setting::User]),
    ("TestKernel", &[Setting::Root, Setting::User]),
    ("TestRoot", &[Setting::Root]),
    ("TestUser", &[Setting::User]),
    ("TestDenied", &[Setting::Denied]),
    ("TestAbsent", &[Setting::Absent]),
    ("Example", &[Setting::Root, Setting::User]),
];

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for &(package, program) in PROGRAMS {
        let path = env::temp_dir().join(package.replace('/', ".") + ".test");
        fs::write(&path, program).expect("the folder has room");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("the file is root's");
        let names = output_of(Command::new(&path).arg("-test.list=."));
        let names = String::from_utf8(names.stdout).expect("the names of Go are UTF-8");
        let (_, package) = package
            .rsplit_once('/')
            .expect("the module's path has a slash");
        for name in names.lines() {
            // The program with the overlay has all other tests of its package too.
            if (package == "overlay") != name.starts_with("TestOverlay") {
                continue;
            }
            let settings = SETTINGS.iter().find(|(prefix, _)| name.starts_with(prefix));
            for &setting in settings.map_or(&[][..], |(_, settings)| settings) {
                let title = format!("{package}::{setting:?}::{name}");
                let (path, name) = (path.clone(), name.to_owned());
                trials.push(Trial::test(title, move || run(&path, &name, setting)));
            }
        }
    }
    for (prefix, _) in SETTINGS {
        let of_prefix = |trial: &Trial| trial.name().contains(&format!("::{prefix}"));
        assert!(trials.iter().any(of_prefix), "no package has {prefix}...");
    }
    let mut arguments = Arguments::from_args();
    // Some change the mode of the device or unload the module.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs one test of a program.
fn run(program: &Path, name: &str, setting: Setting) -> Result<(), Failed> {
    let mut command = Command::new(program);
    command
        .args(["-test.v", "-test.timeout=10m"])
        .arg(format!("-test.run=^{name}$"))
        .current_dir("/tmp");
    let (mut public, mut reloaded) = (None, None);
    match setting {
        Setting::Root => (),
        Setting::User => public = Some(PublicDevice::new()),
        Setting::Denied => (),
        Setting::Absent => {
            reloaded = Some(Reloaded);
            unload();
        }
    }
    if matches!(setting, Setting::User | Setting::Denied) {
        command.uid(USER).gid(USER);
    }
    let program = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Later than the program's own limit, which comes with the stacks of all goroutines.
    let output = await_output_within(TEST_DEADLINE, program);
    drop((public, reloaded));
    let text = String::from_utf8_lossy(&output.stdout);
    // A test that was skipped, or that does not exist, has not passed.
    let passed = text
        .lines()
        .any(|line| line.starts_with(&format!("--- PASS: {name} ")));
    let skipped = text.contains("--- SKIP: ");
    if output.status.success() && passed && !skipped {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}\n{text}{errors}", output.status).into())
}
