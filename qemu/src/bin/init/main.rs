// SPDX-License-Identifier: GPL-2.0

//! Runs one command in the guest, checks the kernel, sends the verdict to the host, and
//! powers off. As PID 1, init prepares the system first. As a service of a Debian that
//! systemd has booted, init finds the system prepared.

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
use go_sched_qemu::share_tag;
use go_sched_qemu::Envelope;
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

/// Serves the host until its goodbye.
fn serve() -> Result<()> {
    let first = rustix::process::getpid() == Pid::INIT;
    if first {
        mount_all()?;
    }
    let spec: Spec = serde_json::from_slice(&fs::read(SPEC_PATH).context(SPEC_PATH)?)?;
    let mut verdict = ports::open(VERDICT_PORT)?;
    let ready = if first {
        loopback_up().and_then(|()| mount_shares(&spec.shares))
    } else {
        Ok(())
    };
    let message = match ready.and_then(|()| run(&spec, &mut verdict)) {
        Ok(status) => Message::Ended {
            status,
            findings: checks::findings(&spec),
        },
        Err(error) => Message::Broken(format!("{error:#}")),
    };
    send(&mut verdict, &spec, message)?;
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

/// Mounts folders of the host.
fn mount_shares(shares: &[String]) -> Result<()> {
    for (index, path) in shares.iter().enumerate() {
        let mounted = || format!("the kernel does not mount the shared folder {path}");
        fs::create_dir_all(path).with_context(mounted)?;
        // Nothing changes there during a run, so that everything may be cached.
        mount(
            share_tag(index),
            path.as_str(),
            "9p",
            MountFlags::RDONLY,
            c"trans=virtio,version=9p2000.L,msize=131072,cache=loose",
        )
        .with_context(mounted)?;
    }
    // Where dynamic programs have their loader, and Debian's loader is a link to.
    for folder in ["lib64", "lib/x86_64-linux-gnu"] {
        let (shared, link) = (format!("/usr/{folder}"), format!("/{folder}"));
        if fs::exists(&shared)? && !fs::exists(&link)? {
            symlink(shared, link)?;
        }
    }
    Ok(())
}

/// Brings up 127.0.0.1, which network programs of Go need.
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

/// Runs the command to its end, ends everything that the command started, and returns
/// the command's exit status.
fn run(spec: &Spec, verdict: &mut File) -> Result<u8> {
    if spec.load_module {
        load_module()?;
    }
    // With -c, setsid makes standard input the controlling terminal. Without one, a
    // shell has no job control, and Ctrl-C ends nothing.
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
        send(verdict, spec, Message::Ready)?;
        return execute(command, streams);
    }
    let stdin = ports::open(STDIN_PORT)?;
    let mut stdout = ports::open(STDOUT_PORT)?;
    let mut stderr = ports::open(STDERR_PORT)?;
    send(verdict, spec, Message::Ready)?;
    let status = execute(command, [stdin, stdout.try_clone()?, stderr.try_clone()?])?;
    // Every writer has ended: nothing follows the token.
    stdout.write_all(spec.token.as_bytes())?;
    stderr.write_all(spec.token.as_bytes())?;
    Ok(status)
}

fn load_module() -> Result<()> {
    let file = File::open(MODULE_PATH).context(MODULE_PATH)?;
    rustix::system::finit_module(&file, c"", 0)
        .with_context(|| format!("the kernel does not load {MODULE_PATH}, see the kernel log"))
}

/// Starts `command`, waits for its end, and kills the processes that `command` left
/// behind. The exit status of a command that cannot be started is 127 or 126, as in a
/// shell.
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
    // The copies of the streams in `command` would keep this process a writer.
    drop(command);

    // PID 1 is the parent of every orphan, and waits for all of them.
    let status = loop {
        if let Some((pid, status)) = rustix::process::wait(WaitOptions::empty())? {
            if pid.as_raw_pid() == child {
                break status;
            }
        }
    };
    // Process group 1 makes it kill(-1), which signals all processes but the caller.
    // The error ESRCH means that no process is left.
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

fn send(verdict: &mut File, spec: &Spec, message: Message) -> Result<()> {
    let mut line = serde_json::to_vec(&Envelope {
        token: spec.token.clone(),
        message,
    })?;
    line.push(b'\n');
    Ok(verdict.write_all(&line)?)
}
