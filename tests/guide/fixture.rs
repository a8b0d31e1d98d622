// SPDX-License-Identifier: GPL-2.0

//! The shells and programs of a section.

use std::env;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::hint::spin_loop;
use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::exit;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::sync::mpsc::Receiver;
use std::thread;

use common::attr::Attr;
use common::deadline::await_program;
use common::device;
use common::device::Device;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::module;
use common::DEADLINE;
use libtest_mimic::Failed;
use rustix::process::kill_process_group;
use rustix::process::Pid;
use rustix::process::Signal;
use snapbox::IntoData;

use crate::pages::steps;
use crate::pages::Section;
use crate::pages::Step;
use crate::pages::GUEST;

/// The working folder of the shells.
const DIRECTORY: &str = "/tmp/guide";
/// A file that a program in the background makes once the program runs.
const STARTED: &str = "/tmp/guide/.started";
/// The variable that makes the programs below end once they have started.
pub(crate) const ENDS_AT_ONCE: &str = "GUIDE_ENDS_AT_ONCE";
/// The name and number of the group whose members may set priorities, as the packages
/// have it.
const GROUP: (&str, u32) = ("gosched", 990);
/// The programs. All have several threads and sleep. "spinner" has a thread that does not
/// sleep. "mapper" has mapped a page of the device and closed the device. "periodic" is
/// `SCHED_DEADLINE`, and so has no other threads: such a thread may not create any.
const PROGRAMS: [&str; 6] = ["batch", "server", "ticker", "spinner", "mapper", "periodic"];

/// The start of each section: the module with its defaults, the device as the packages
/// leave it, and the programs that the pages speak of, of which "server" runs.
#[derive(Debug)]
pub(crate) struct Fixture {
    root: Shell,
    user: Shell,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        if module::is_loaded() {
            module::unload();
        }
        // A page may have put something else there.
        if let Err(error) = fs::remove_file(device::PATH) {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        module::load();
        chown(device::PATH, None, Some(GROUP.1)).expect("root changes the group");
        fs::set_permissions(device::PATH, Permissions::from_mode(0o660)).expect("and the mode");

        if Path::new(DIRECTORY).exists() {
            fs::remove_dir_all(DIRECTORY).expect("nobody else uses it");
        }
        fs::create_dir(DIRECTORY).expect("/tmp is writable");
        fs::set_permissions(DIRECTORY, Permissions::from_mode(0o777)).expect("root may do so");
        let own = env::current_exe().expect("/proc is mounted");
        for program in PROGRAMS {
            symlink(&own, Path::new(DIRECTORY).join(program)).expect("there is no such file");
        }

        let mut new = Self {
            root: Shell::start(&["sh"]),
            user: Shell::start(&["su", "user"]),
        };
        let (_, status) = new
            .user
            .run("./server &")
            .expect("the shell reads commands");
        assert_eq!(status, 0);
        new
    }

    /// Runs the commands of a section.
    pub(crate) fn run(&mut self, section: &Section) -> Result<(), Failed> {
        for block in section.blocks.iter().filter(|block| block.kind == GUEST) {
            for step in steps(&block.text)? {
                let shell = if step.as_root {
                    &mut self.root
                } else {
                    &mut self.user
                };
                shell.check(&step)?;
            }
        }
        Ok(())
    }

    /// Runs a command that must succeed, whatever its output.
    pub(crate) fn succeed_as_root(&mut self, command: &str) -> Result<(), Failed> {
        match self.root.run(command)? {
            (_, 0) => Ok(()),
            (printed, status) => {
                Err(format!("{command}: ends with status {status}:\n{printed}").into())
            }
        }
    }
}

/// Adds the group that the packages add, with the user.
pub(crate) fn add_group() {
    let (name, number) = GROUP;
    let groups = File::options().append(true).open("/etc/group");
    writeln!(
        groups.expect("the guest has groups"),
        "{name}:x:{number}:user"
    )
    .expect("root adds a group");
}

/// Runs a program of [`PROGRAMS`] to its end, if this process was started by such a name.
pub(crate) fn run_program_if_named_so() {
    let path = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|name| PROGRAMS.contains(name)) else {
        return;
    };
    match name {
        "periodic" => Attr::deadline().apply(SELF),
        _ => (0..3).for_each(|_| drop(thread::spawn(sleep))),
    }
    // To the end of the process.
    let _page = (name == "mapper").then(|| HintPage::new(&Device::open(), 1));
    File::create(STARTED).expect("the directory is everybody's");
    if env::var_os(ENDS_AT_ONCE).is_some() {
        exit(0);
    }
    if name == "spinner" {
        loop {
            spin_loop();
        }
    }
    sleep();
}

fn sleep() {
    loop {
        thread::park();
    }
}

/// A shell that is given a command at a time. On drop, the shell is killed with all that
/// it has started.
#[derive(Debug)]
struct Shell {
    process: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    /// The text that is printed after each command, with the command's status.
    const END: &str = "--- end of the command:";

    fn start(program: &[&str]) -> Self {
        let mut process = Command::new(program[0])
            .args(&program[1..])
            .current_dir(DIRECTORY)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the guest has a shell");
        let (stdin, stdout) = process
            .stdin
            .take()
            .zip(process.stdout.take())
            .expect("pipes");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // Nobody listens any more once the section has failed.
            lines.all(|line| sender.send(line).is_ok())
        });
        Self {
            process,
            stdin,
            lines,
        }
    }

    /// Returns the output and the status of a command. A program that the command starts
    /// in the background runs by then.
    fn run(&mut self, command: &str) -> Result<(String, i32), Failed> {
        // In braces it can set variables, and does not read the commands after it.
        let end = Self::END;
        writeln!(
            self.stdin,
            "{{ {command}\n}} </dev/null 2>&1\nprintf '\\n{end}%d\\n' $?"
        )?;
        let mut printed = String::new();
        let status = loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.map_err(|error| format!("{command}: {error}, after:\n{printed}"))?;
            if let Some(status) = line.strip_prefix(end) {
                // The line break before the mark.
                printed.pop();
                break status.parse()?;
            }
            printed += &line;
            printed.push('\n');
        };
        if command.ends_with('&') {
            eventually("the program has started", || {
                fs::remove_file(STARTED).is_ok()
            });
        }
        Ok((printed, status))
    }

    fn check(&mut self, step: &Step) -> Result<(), Failed> {
        let Step {
            command, printed, ..
        } = step;
        let (actual, status) = self.run(command)?;
        assert_matches(command, &actual, printed)?;
        if status != 0 && printed.lines().all(|line| line == "...") {
            return Err(format!("{command}: ends with status {status}, which is not shown").into());
        }
        Ok(())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.process);
        kill_process_group(group, Signal::KILL).expect("the shell has not been waited for");
        await_program(&mut self.process);
    }
}

fn assert_matches(what: &str, actual: &str, expected: &str) -> Result<(), Failed> {
    snapbox::Assert::new()
        .try_eq(
            Some(&what),
            actual.to_owned().into_data(),
            expected.to_owned().into_data(),
        )
        .map_err(Failed::from)
}
