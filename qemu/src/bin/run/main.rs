// SPDX-License-Identifier: GPL-2.0

//! Boots the patched kernel and runs a command in it; see `--help`.

mod artifacts;
mod initramfs;
mod kernel_log;
mod machine;
mod stream;

use std::fs;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;

use crate::artifacts::Artifacts;
use crate::initramfs::Initramfs;
use crate::machine::Accelerator;
use crate::machine::Machine;
use crate::machine::Outcome;

/// Exit status when the kernel log has reports, whatever the command's status.
const KERNEL_COMPLAINED: u8 = 123;
/// Exit status when the run did not end in time.
const TIMED_OUT: u8 = 124;
/// Time that a message has to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Exit status when the command could not be run, or its result is not known.
const HARNESS_BROKE: u8 = 125;

/// Boots the patched kernel in a QEMU guest, loads the go_sched module, and runs COMMAND there
/// as root.
///
/// COMMAND reads the standard input of this program, and writes to its standard output and
/// standard error, byte for byte. The exit status is that of COMMAND, or 128 plus the signal's
/// number if a signal ended COMMAND. What is missing or out of date is built first: the kernel,
/// the module and the programs of the guest.
#[derive(Parser)]
#[command(
    name = "qemu/run",
    override_usage = "qemu/run [OPTIONS] -- COMMAND [ARGUMENT]...",
    after_help = "\
Exit status, if it is not COMMAND's own:
  123  the kernel reported an error: a warning, wrong lock order, a memory leak, a panic
  124  the run took longer than its timeout
  125  the guest was not built, did not start, or ended without a result
Standard error then has the reason, and the name of the file with the kernel log.

Example: qemu/run --variant debug -- gosched check"
)]
struct Arguments {
    /// Boot a variant of the kernel: the usual configuration with kernel/config/NAME.config
    /// added. "debug" checks memory, locks and leaks; "unpatched" is Debian's kernel, and
    /// needs --no-module
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// CPUs of the guest, 1 to 8 [default: 2, or 1 with --icount]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=8))]
    cpus: Option<u8>,
    /// Have each two CPUs be threads of one core; takes an even number of them
    #[arg(long, requires = "cpus")]
    smt: bool,
    /// Memory of the guest, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// Arguments to add to the kernel's command line
    #[arg(
        long,
        value_name = "ARGUMENTS",
        default_value = "",
        hide_default_value = true
    )]
    append: String,
    /// Copy the contents of DIR to the root directory of the guest; may be given repeatedly
    #[arg(long, value_name = "DIR")]
    overlay: Vec<PathBuf>,
    /// Let the guest read DIR at its own path; may be given repeatedly. With /usr and the
    /// folder of a program, a program that is linked dynamically runs, and so do perf and strace
    #[arg(long, value_name = "DIR", value_parser = shared_folder)]
    share: Vec<String>,
    /// Seconds, the boot included, after which the guest is ended [default: 900, or 3600
    /// with --variant]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Boot FILE, a bzImage, and not the kernel that is built here
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Load FILE, and not the module that is built here
    #[arg(long, value_name = "FILE", conflicts_with = "no_module")]
    module: Option<PathBuf>,
    /// Do not load the module
    #[arg(long)]
    no_module: bool,
    /// Connect COMMAND to this terminal, to use it interactively; there is no timeout then
    #[arg(long)]
    terminal: bool,
    /// Copy COMMAND, a program of this machine, into the guest and run it there: makes qemu/run
    /// a runner of cargo
    #[arg(long)]
    cargo_runner: bool,
    /// Way in which QEMU runs the guest [default: kvm if a trial guest runs with it, else tcg;
    /// always tcg with --icount]
    #[arg(long, env = "GO_SCHED_ACCEL")]
    accel: Option<Accelerator>,
    /// Advance the guest's clock by 2^SHIFT nanoseconds with each instruction that a CPU
    /// executes: times measured in the guest then do not depend on how busy this machine is
    #[arg(long, value_name = "SHIFT", value_parser = clap::value_parser!(u8).range(0..=10))]
    icount: Option<u8>,
    /// Program of the guest to run, and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

/// Folders that the guest has itself, and needs. Those in /usr, and /sbin, are links to its /bin.
const GUESTS_OWN: &[&str] = &[
    "/",
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/proc",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr/bin",
    "/usr/sbin",
];

/// Returns the absolute path of a folder that the guest can mount at this path.
fn shared_folder(path: &str) -> Result<String> {
    let path = fs::canonicalize(path)?;
    anyhow::ensure!(path.is_dir(), "not a folder");
    let path = path.into_os_string().into_string();
    let path = path.map_err(|_| anyhow::anyhow!("the path is not UTF-8"))?;
    anyhow::ensure!(
        !GUESTS_OWN.contains(&path.as_str()),
        "the guest has its own {path}: share a folder below, or /usr"
    );
    Ok(path)
}

/// Writes a message to standard error. The exit status does not wait for a reader that does
/// not read.
fn tell(message: String) {
    let (sender, written) = mpsc::channel();
    thread::spawn(move || {
        // A failure to print leaves nobody to tell.
        let _ = writeln!(io::stderr(), "{message}");
        let _ = sender.send(());
    });
    let _ = written.recv_timeout(PATIENCE);
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A failure to print leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { HARNESS_BROKE } else { 0 });
        }
    };
    let status = run(arguments).unwrap_or_else(|error| {
        tell(format!("qemu/run: {error:#}"));
        HARNESS_BROKE
    });
    ExitCode::from(status)
}

fn run(mut arguments: Arguments) -> Result<u8> {
    let variant = arguments.variant.as_deref();
    let mut artifacts = Artifacts::build(variant)?;
    artifacts.bz_image = arguments.kernel.take().unwrap_or(artifacts.bz_image);
    artifacts.module = arguments.module.take().unwrap_or(artifacts.module);
    let mut initramfs = Initramfs::new(&artifacts, !arguments.no_module)?;
    for directory in &arguments.overlay {
        initramfs.add_overlay(directory)?;
    }
    if arguments.cargo_runner {
        let program = PathBuf::from(&arguments.command[0]);
        arguments.command[0] = initramfs.add_program(&program)?;
    }
    let timeout = match (arguments.timeout, variant) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, None) => Duration::from_secs(900),
        (None, Some(_)) => Duration::from_secs(3600),
    };
    let machine = Machine {
        accelerator: match (arguments.icount, arguments.accel) {
            (Some(_), _) => Accelerator::Tcg,
            (None, Some(accelerator)) => accelerator,
            (None, None) => machine::probe(&artifacts)?,
        },
        icount: arguments.icount,
        bz_image: artifacts.bz_image.clone(),
        cpus: arguments
            .cpus
            .unwrap_or(if arguments.icount.is_some() { 1 } else { 2 }),
        smt: arguments.smt,
        memory_mib: arguments.memory,
        append: arguments.append,
        shares: arguments.share,
        timeout: (!arguments.terminal).then_some(timeout),
        terminal: arguments.terminal,
        log: artifacts.new_log()?,
    };
    let outcome = machine.run(initramfs, arguments.command, true)?;
    let log = fs::read(&machine.log).with_context(|| machine.log.display().to_string())?;
    let log = String::from_utf8_lossy(&log).replace('\r', "");

    let (status, explanation) = judge(outcome, &log);
    let foreign_races = kernel_log::foreign_races(&log);
    match explanation {
        None if foreign_races > 0 => tell(format!(
            "\nqemu/run: {foreign_races} data races in which go_sched has no part\n\
             The whole kernel log: {}",
            machine.log.display()
        )),
        None => fs::remove_file(&machine.log)?,
        Some(explanation) => tell(format!(
            "\nqemu/run: {explanation}\nThe whole kernel log: {}",
            machine.log.display()
        )),
    }
    Ok(status)
}

/// Returns the exit status, and an explanation unless the status is the command's own.
fn judge(outcome: Outcome, log: &str) -> (u8, Option<String>) {
    let mut complaints = kernel_log::complaints(log);
    match outcome {
        Outcome::Ended { status, findings } => {
            complaints.extend(findings);
            if complaints.is_empty() {
                return (status, None);
            }
            let explanation = format!(
                "the kernel complained; the command itself ended with status {status}.\n{}",
                complaints.join("\n")
            );
            (KERNEL_COMPLAINED, Some(explanation))
        }
        Outcome::TimedOut => {
            let explanation = format!(
                "timeout: the guest was ended. --timeout gives it more time.\n{}",
                kernel_log::tail(log)
            );
            (TIMED_OUT, Some(explanation))
        }
        Outcome::NoVerdict(why) if complaints.is_empty() => {
            let explanation = format!("the harness broke: {why}.\n{}", kernel_log::tail(log));
            (HARNESS_BROKE, Some(explanation))
        }
        Outcome::NoVerdict(why) => {
            let explanation = format!(
                "the kernel complained, and {why}.\n{}",
                complaints.join("\n")
            );
            (KERNEL_COMPLAINED, Some(explanation))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shared_folder;

    /// Holds where /bin is a folder, and where it is a link to /usr/bin.
    #[test]
    fn folders_of_programs_are_not_shared_over_the_guests_own() {
        for folder in ["/bin", "/sbin", "/usr/bin", "/usr/sbin"] {
            assert!(shared_folder(folder).is_err(), "{folder}");
        }
        assert_eq!(shared_folder("/usr/").expect("a folder"), "/usr");
    }
}
