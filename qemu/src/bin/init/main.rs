// SPDX-License-Identifier: GPL-2.0

//! Runs one command in the guest, looks at the kernel, reports on the verdict port, and
//! powers off. As PID 1 it prepares the system first; as a service of a system that
//! another PID 1 has booted, that is done.

mod checks;
mod ports;

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use go_sched_qemu::Line;
use go_sched_qemu::Message;
use go_sched_qemu::Spec;
use go_sched_qemu::MODULE_PATH;
use go_sched_qemu::SPEC_PATH;
use go_sched_qemu::STDERR_PORT;
use go_sched_qemu::STDIN_PORT;
use go_sched_qemu::STDOUT_PORT;
use go_sched_qemu::VERDICT_PORT;
use rustix::mount::mount;
use rustix::mount::MountFlags;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use rustix::process::WaitStatus;
use rustix::system::RebootCommand;
use rustix::termios::Winsize;

fn main() {
    // Stderr is the console here, so this ends up in the kernel log.
    if let Err(error) = serve() {
        eprintln!("init: {error:#}");
    }
    // Returning from PID 1 is a kernel panic.
    if let Err(error) = rustix::system::reboot(RebootCommand::PowerOff) {
        eprintln!("init: power off: {error}");
    }
}

/// Does everything up to the host's goodbye.
fn serve() -> Result<()> {
    let first = rustix::process::getpid() == Pid::INIT;
    if first {
        mount_all()?;
    }
    let spec: Spec = serde_json::from_slice(&fs::read(SPEC_PATH).context(SPEC_PATH)?)?;
    let mut verdict = ports::open(VERDICT_PORT)?;
    let ready = if first { loopback_up() } else { Ok(()) };
    let message = match ready.and_then(|()| run(&spec, &mut verdict)) {
        Ok(status) => Message::Ended {
            status,
            findings: checks::findings(&spec),
        },
        Err(error) => Message::Broken(format!("{error:#}")),
    };
    say(&mut verdict, &spec, message)?;
    // QEMU drops at power-off what the host has not read by then.
    verdict.read_exact(&mut [0])?;
    Ok(())
}

fn mount_all() -> Result<()> {
    let none = MountFlags::empty();
    for (kind, target, flags, data) in [
        ("proc", "/proc", none, c""),
        ("sysfs", "/sys", none, c""),
        ("devtmpfs", "/dev", none, c""),
        ("devpts", "/dev/pts", none, c""),
        ("tmpfs", "/dev/shm", none, c"mode=1777"),
        ("mqueue", "/dev/mqueue", none, c""),
        ("tmpfs", "/tmp", none, c"mode=1777"),
        ("tmpfs", "/run", none, c"mode=755"),
        ("cgroup2", "/sys/fs/cgroup", none, c""),
        ("debugfs", "/sys/kernel/debug", none, c""),
    ] {
        fs::create_dir_all(target).with_context(|| format!("create {target}"))?;
        mount(kind, target, kind, flags, data).with_context(|| format!("mount {target}"))?;
    }
    for (target, link) in [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        symlink(target, link).with_context(|| format!("link {link}"))?;
    }
    Ok(())
}

/// Go's network tests and tools expect 127.0.0.1.
fn loopback_up() -> Result<()> {
    let status = Command::new("/bin/ip")
        .args(["link", "set", "lo", "up"])
        .status();
    anyhow::ensure!(
        status.context("/bin/ip")?.success(),
        "the loopback device does not come up"
    );
    Ok(())
}

/// Runs the command to its end, and everything that it started; returns its
/// exit status.
fn run(spec: &Spec, verdict: &mut File) -> Result<u8> {
    if spec.load_module {
        load_module()?;
    }
    // setsid's -c makes its standard input the controlling terminal: without one,
    // a shell has no job control and Ctrl-C ends nothing.
    let session: &[&str] = match spec.terminal {
        Some(_) => &["setsid", "-c"],
        None => &[],
    };
    let mut words = session
        .iter()
        .copied()
        .chain(spec.argv.iter().map(|word| &**word));
    let mut command = Command::new(words.next().context("there is no command")?);
    command
        .args(words)
        .env_clear()
        .envs(spec.env.iter().cloned())
        .current_dir("/");

    if let Some(size) = spec.terminal {
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/hvc0")
            .context("/dev/hvc0")?;
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&terminal, size)?;
        let streams = [terminal.try_clone()?, terminal.try_clone()?, terminal];
        say(verdict, spec, Message::Ready)?;
        return execute(command, streams);
    }
    let stdin = ports::open(STDIN_PORT)?;
    let mut stdout = ports::open(STDOUT_PORT)?;
    let mut stderr = ports::open(STDERR_PORT)?;
    say(verdict, spec, Message::Ready)?;
    let status = execute(command, [stdin, stdout.try_clone()?, stderr.try_clone()?])?;
    // Every writer is gone: the token is the last there is.
    stdout.write_all(spec.token.as_bytes())?;
    stderr.write_all(spec.token.as_bytes())?;
    Ok(status)
}

fn load_module() -> Result<()> {
    let file = File::open(MODULE_PATH).context(MODULE_PATH)?;
    rustix::system::finit_module(&file, c"", 0)
        .with_context(|| format!("the kernel does not load {MODULE_PATH}, see the kernel log"))
}

/// Starts `command`, waits for it, ends what it left behind. A command that
/// cannot be started has exit status 127 or 126, as in a shell.
fn execute(mut command: Command, [stdin, stdout, stderr]: [File; 3]) -> Result<u8> {
    let mut complain = stderr.try_clone()?;
    command
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr));
    let child = match command.spawn() {
        Ok(child) => i32::try_from(child.id())?,
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            writeln!(complain, "init: {program}: {error}")?;
            return Ok(if error.kind() == ErrorKind::NotFound {
                127
            } else {
                126
            });
        }
    };
    // The command's copies of its streams would keep this process a writer.
    drop(command);

    // PID 1 is the parent of every orphan: it reaps whatever ends.
    let status = loop {
        if let Some((pid, status)) = rustix::process::wait(WaitOptions::empty())? {
            if pid.as_raw_pid() == child {
                break status;
            }
        }
    };
    // Process group 1, negated, is kill(2)'s "every process there is but me".
    // ESRCH: nobody is left.
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
    while rustix::process::wait(WaitOptions::empty()).is_ok() {}
    exit_status(status)
}

fn exit_status(status: WaitStatus) -> Result<u8> {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => anyhow::bail!("the command neither exited nor was killed"),
    };
    Ok(u8::try_from(code)?)
}

fn say(verdict: &mut File, spec: &Spec, message: Message) -> Result<()> {
    let mut line = serde_json::to_vec(&Line {
        token: spec.token.clone(),
        message,
    })?;
    line.push(b'\n');
    Ok(verdict.write_all(&line)?)
}
