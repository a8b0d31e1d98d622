// SPDX-License-Identifier: GPL-2.0

//! One guest: starts QEMU, exchanges messages with the guest's init, and waits for the
//! verdict.

use std::env;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use clap::ValueEnum;
use command_fds::CommandFdExt;
use command_fds::FdMapping;
use go_sched_qemu::share_tag;
use go_sched_qemu::Envelope;
use go_sched_qemu::Message;
use go_sched_qemu::Spec;
use go_sched_qemu::TerminalSize;
use go_sched_qemu::GOODBYE;
use go_sched_qemu::STDERR_PORT;
use go_sched_qemu::STDIN_PORT;
use go_sched_qemu::STDOUT_PORT;
use go_sched_qemu::VERDICT_PORT;
use rustix::termios::OptionalActions;
use wait_timeout::ChildExt;

use crate::artifacts::Artifacts;
use crate::initramfs::Initramfs;
use crate::stream;

const QEMU: &str = "qemu-system-x86_64";
/// All CPU features that QEMU can emulate except five-level page tables. With these,
/// KASAN reports accesses of an interrupt as wild while the kernel reads the CPU's
/// features again.
const EMULATED_CPU: &str = "max,la57=off";
/// First of the file descriptors that QEMU inherits: the initramfs, then the ports.
const FIRST_FD: i32 = 3;
/// Time for the guest to power off after the host's goodbye.
const POWER_OFF: Duration = Duration::from_secs(60);
/// Time for a guest to show that KVM works; two seconds are usual.
const PROBE: Duration = Duration::from_secs(20);
/// Variables of the host's environment that the command in the guest inherits.
const PASSED_ON: &[&str] = &[
    "GODEBUG",
    "GOMAXPROCS",
    "GOTRACEBACK",
    "RUST_BACKTRACE",
    "RUST_TEST_NOCAPTURE",
    "RUST_TEST_THREADS",
    "TERM",
];

/// Way in which QEMU runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accelerator {
    /// Run the guest on the host's CPUs
    Kvm,
    /// Emulate the CPUs, which works on every machine
    Tcg,
}

/// Configuration of a guest.
pub(crate) struct Machine {
    pub(crate) accelerator: Accelerator,
    /// Guest time per instruction, as an exponent of two, in nanoseconds; with emulation
    /// only.
    pub(crate) icount: Option<u8>,
    pub(crate) bz_image: PathBuf,
    pub(crate) cpus: u8,
    pub(crate) smt: bool,
    pub(crate) memory_mib: u32,
    /// Addition to the kernel's command line.
    pub(crate) append: String,
    /// Folders of this machine that the guest mounts.
    pub(crate) shares: Vec<String>,
    /// Limit of the whole run; `None` is no limit.
    pub(crate) timeout: Option<Duration>,
    /// True if the command is connected to this process's terminal.
    pub(crate) terminal: bool,
    /// File that the kernel log is written to.
    pub(crate) log: PathBuf,
}

/// Result of a run.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The guest sent a verdict.
    Ended { status: u8, findings: Vec<String> },
    /// The guest sent no verdict in time.
    TimedOut,
    /// The guest can send no verdict, for the given reason.
    NoVerdict(String),
}

/// Event that a thread that serves a port reports to the main thread.
enum Event {
    /// The guest has sent a message.
    Message(Message),
    /// The verdict port is closed: QEMU has ended.
    Closed,
    /// One of the two output streams is complete, or cannot be copied.
    Output(io::Result<()>),
}

/// Both ends of each port.
struct Ports {
    host: Vec<UnixStream>,
    qemu: Vec<(&'static str, OwnedFd)>,
}

impl Ports {
    fn new(names: &[&'static str]) -> Result<Self> {
        let (mut host, mut qemu) = (Vec::new(), Vec::new());
        for name in names {
            let (ours, theirs) = UnixStream::pair()?;
            host.push(ours);
            qemu.push((*name, theirs.into()));
        }
        Ok(Self { host, qemu })
    }
}

impl Machine {
    /// Boots the guest and runs `argv` there. This process's standard input is read only
    /// with `forward_stdin`.
    pub(crate) fn run(
        &self,
        initramfs: Initramfs,
        argv: Vec<String>,
        forward_stdin: bool,
    ) -> Result<Outcome> {
        let spec = Spec {
            token: random_uuid()?,
            argv,
            env: self.environment(),
            load_module: initramfs.loads_module(),
            shares: self.shares.clone(),
            terminal: self.terminal.then(terminal_size),
        };
        let names: &[_] = if self.terminal {
            &[VERDICT_PORT]
        } else {
            &[VERDICT_PORT, STDOUT_PORT, STDERR_PORT, STDIN_PORT]
        };
        let ports = Ports::new(names)?;
        let mut complaints = tempfile::tempfile()?;
        let mut qemu = self.start(initramfs.finish(&spec)?, ports.qemu, &complaints)?;

        let terminal = rustix::termios::tcgetattr(io::stdin());
        let outcome = self.serve_ports(&spec, ports.host, &mut qemu, forward_stdin);
        // This does nothing to a QEMU that has ended by itself.
        qemu.kill()?;
        let status = qemu.wait()?;
        if let (true, Ok(terminal)) = (self.terminal, terminal) {
            rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &terminal)?;
        }
        match outcome? {
            Some(outcome) => Ok(outcome),
            None => {
                let mut words = String::new();
                complaints.rewind()?;
                complaints.read_to_string(&mut words)?;
                let why = format!("QEMU ended without a verdict, {status}\n{words}");
                Ok(Outcome::NoVerdict(why.trim_end().to_owned()))
            }
        }
    }

    fn start(
        &self,
        initramfs: File,
        ports: Vec<(&'static str, OwnedFd)>,
        stderr: &File,
    ) -> Result<Child> {
        // setpriv has the kernel kill QEMU when this process ends in whatever way.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", QEMU]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        // QEMU's default is an older machine, whose firmware computes the interrupt
        // routing so slowly that a debug kernel reports a timeout.
        command.args(["-machine", "q35"]);
        // Together with panic=-1 on the kernel's command line, a panic ends QEMU.
        command.arg("-no-reboot");
        command.args(match self.accelerator {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // The guest's CPUs take turns. In parallel, before QEMU 8.1, one can
            // execute a breakpoint that another has already patched away, and
            // the kernel, which switches static keys in that way, dies of
            // "Oops: int3"; QEMU 10 loses a CPU's timer now and then.
            Accelerator::Tcg => ["-accel", "tcg,thread=single", "-cpu", EMULATED_CPU],
        });
        if let Some(shift) = self.icount {
            // sleep=off: while all CPUs are idle, the clock jumps to the next timer.
            command.args(["-icount", &format!("shift={shift},sleep=off")]);
        }
        let threads = if self.smt { 2 } else { 1 };
        command.args(["-smp", &format!("cpus={},threads={threads}", self.cpus)]);
        command.args(["-m", &self.memory_mib.to_string()]);
        command.arg("-kernel").arg(&self.bz_image);
        command.args(["-initrd", &format!("/dev/fd/{FIRST_FD}")]);
        // On a busy host, timer interrupts come late. The guest's kernel must then
        // neither stop using the TSC, which is the host's clock, nor the timer.
        let append = format!(
            "console=ttyS0 panic=-1 tsc=reliable no_timer_check {}",
            self.append
        );
        command.args(["-append", &append]);
        command.args(["-serial", &format!("file:{}", self.log.display())]);
        command.args(["-device", "virtio-serial-pci"]);
        for (index, path) in self.shares.iter().enumerate() {
            command.arg("-virtfs");
            // A comma would end the path.
            command.arg(format!(
                "local,path={},mount_tag={},security_model=none,readonly=on,multidevs=remap",
                path.replace(',', ",,"),
                share_tag(index),
            ));
        }

        let mut mappings = vec![FdMapping {
            parent_fd: initramfs.into(),
            child_fd: FIRST_FD,
        }];
        for (child_fd, (name, parent_fd)) in (FIRST_FD + 1..).zip(ports) {
            command.args(["-chardev", &format!("socket,id={name},fd={child_fd}")]);
            command.args([
                "-device",
                &format!("virtserialport,chardev={name},name={name}"),
            ]);
            mappings.push(FdMapping {
                parent_fd,
                child_fd,
            });
        }
        if self.terminal {
            command.args(["-chardev", "stdio,id=terminal,signal=off"]);
            command.args(["-device", "virtconsole,chardev=terminal"]);
        } else {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        command.fd_mappings(mappings)?;
        command.stderr(stderr.try_clone()?);
        // The copies of the ports in `command` are closed at the end of this function:
        // the ports would otherwise stay open after QEMU has ended.
        command.spawn().context("setpriv, which starts QEMU")
    }

    /// Serves the ports until there is an outcome; returns `None` if QEMU ended before.
    fn serve_ports(
        &self,
        spec: &Spec,
        ports: Vec<UnixStream>,
        qemu: &mut Child,
        forward_stdin: bool,
    ) -> Result<Option<Outcome>> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let (sender, events) = mpsc::channel();
        let mut ports = ports.into_iter();
        let mut verdict = ports.next().context("no verdict port")?;
        listen(verdict.try_clone()?, spec.token.clone(), sender.clone());
        let mut streams = 0;
        let outputs = [
            io::stdout().as_fd().try_clone_to_owned()?,
            io::stderr().as_fd().try_clone_to_owned()?,
        ];
        for (output, port) in outputs.into_iter().zip(ports.by_ref().take(2)) {
            copy_output(port, File::from(output), spec.token.clone(), sender.clone());
            streams += 1;
        }
        let mut stdin = ports.next();

        let mut ended = None;
        let (mut closed, mut truncated) = (false, false);
        while streams > 0 || !(closed || ended.is_some()) {
            let Some(event) = next(&events, deadline) else {
                return Ok(Some(Outcome::TimedOut));
            };
            match event {
                Event::Message(Message::Ready) => {
                    if let (true, Some(port)) = (forward_stdin, stdin.take()) {
                        copy_input(port);
                    }
                    // Closes the port if nothing is forwarded.
                    stdin = None;
                }
                Event::Message(Message::Ended { status, findings }) => {
                    ended = Some(Outcome::Ended { status, findings });
                }
                Event::Message(Message::Broken(why)) => return Ok(Some(Outcome::NoVerdict(why))),
                Event::Output(Ok(())) => streams -= 1,
                Event::Output(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    streams -= 1;
                    truncated = true;
                }
                Event::Output(Err(error)) => return Err(error).context("the command's output"),
                Event::Closed => closed = true,
            }
        }
        if closed || truncated {
            return Ok(None);
        }
        verdict.write_all(&[GOODBYE])?;
        if qemu.wait_timeout(POWER_OFF)?.is_none() {
            let why = "the guest does not power off".to_owned();
            return Ok(Some(Outcome::NoVerdict(why)));
        }
        Ok(ended)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = vec![
            ("HOME".to_owned(), "/root".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ];
        environment.extend(PASSED_ON.iter().filter_map(|name| {
            let value = env::var(name).ok()?;
            Some(((*name).to_owned(), value))
        }));
        environment
    }
}

/// Waits for the next event; returns `None` when the deadline has passed.
fn next(events: &Receiver<Event>, deadline: Option<Instant>) -> Option<Event> {
    match deadline {
        None => events.recv().ok(),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            events.recv_timeout(left).ok()
        }
    }
}

/// Reports the messages of the guest. Lines without this run's token are ignored: others
/// can write to the port.
fn listen(port: UnixStream, token: String, sender: Sender<Event>) {
    thread::spawn(move || {
        for line in BufReader::new(port).lines().map_while(Result::ok) {
            match serde_json::from_str::<Envelope>(&line) {
                Ok(envelope) if envelope.token == token => {
                    send(&sender, Event::Message(envelope.message));
                }
                _ => {}
            }
        }
        send(&sender, Event::Closed);
    });
}

fn copy_output(port: UnixStream, output: File, token: String, sender: Sender<Event>) {
    thread::spawn(move || {
        let result = stream::copy_until(token.as_bytes(), port, output);
        send(&sender, Event::Output(result));
    });
}

fn copy_input(mut port: UnixStream) {
    thread::spawn(move || {
        // The command may end before it has read all of its input, and so may QEMU.
        let _ = io::copy(&mut io::stdin().lock(), &mut port);
        let _ = port.shutdown(Shutdown::Write);
        // If it closed as a whole, QEMU would drop what it has not read yet.
        let _ = io::copy(&mut port, &mut io::sink());
    });
}

/// Sends an event. A receiver that is gone has its outcome already.
fn send(sender: &Sender<Event>, event: Event) {
    let _ = sender.send(event);
}

/// Returns the size of the terminal that is standard input; 0 for any other file.
fn terminal_size() -> TerminalSize {
    let size = rustix::termios::tcgetwinsize(io::stdin());
    size.map_or_else(
        |_| TerminalSize::default(),
        |size| TerminalSize {
            rows: size.ws_row,
            columns: size.ws_col,
        },
    )
}

fn random_uuid() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    Ok(fs::read_to_string(path).context(path)?.trim().to_owned())
}

/// Finds out whether KVM can run guests here. KVM may look usable and still hang its
/// guest, so a trial guest must answer. The result is kept until the host reboots.
pub(crate) fn probe(artifacts: &Artifacts) -> Result<Accelerator> {
    let usable = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    if usable.is_err() {
        return Ok(Accelerator::Tcg);
    }
    let path = "/proc/sys/kernel/random/boot_id";
    let boot_id = fs::read_to_string(path).context(path)?;
    let answer = artifacts.cache.join(format!("accel-{}", boot_id.trim()));
    if let Ok(known) = fs::read_to_string(&answer) {
        return Ok(if known == "kvm" {
            Accelerator::Kvm
        } else {
            Accelerator::Tcg
        });
    }
    let trial = Machine {
        accelerator: Accelerator::Kvm,
        icount: None,
        bz_image: artifacts.bz_image.clone(),
        cpus: 2,
        smt: false,
        memory_mib: 512,
        append: String::new(),
        shares: Vec::new(),
        timeout: Some(PROBE),
        terminal: false,
        log: artifacts.new_log()?,
    };
    let outcome = trial.run(
        Initramfs::new(artifacts, false)?,
        vec!["true".to_owned()],
        false,
    );
    // There is no log if QEMU failed before it opened the file.
    let _ = fs::remove_file(&trial.log);
    let works = matches!(outcome, Ok(Outcome::Ended { status: 0, .. }));
    fs::write(&answer, if works { "kvm" } else { "tcg" })?;
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    })
}
