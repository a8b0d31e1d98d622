// SPDX-License-Identifier: GPL-2.0

//! Protocol between `run` on the host and `init` in the guest.
//!
//! Each of the command's streams has a virtio port of its own, and so has the
//! verdict. Nothing that the command prints can be mistaken for a verdict, and a
//! guest that sends no verdict has not succeeded.
//!
//! The guest sends each message on the verdict port as one line of JSON:
//!
//! 1. The guest sends [`Message::Ready`]. From then on the host forwards stdin.
//! 2. The guest sends [`Message::Ended`] or [`Message::Broken`].
//! 3. The host has received all of stdout and stderr and sends [`GOODBYE`]. The
//!    guest powers off.

use serde::Deserialize;
use serde::Serialize;

/// Name of the virtio port that carries the command's standard input.
pub const STDIN_PORT: &str = "stdin";
/// Name of the virtio port that carries the command's standard output.
pub const STDOUT_PORT: &str = "stdout";
/// Name of the virtio port that carries the command's standard error.
pub const STDERR_PORT: &str = "stderr";
/// Name of the virtio port that carries [`Envelope`]s and [`GOODBYE`].
pub const VERDICT_PORT: &str = "verdict";

/// Path of the [`Spec`] in the initramfs, as JSON.
pub const SPEC_PATH: &str = "/etc/go_sched_run.json";
/// Path of the module in the initramfs.
pub const MODULE_PATH: &str = "/lib/modules/go_sched_class.ko";

/// The host's answer to the last message.
pub const GOODBYE: u8 = b'.';

/// Returns the name under which QEMU offers a shared folder.
pub fn share_tag(index: usize) -> String {
    format!("share{index}")
}

/// Instructions to the guest.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Random text, new in each run. The text marks the end of stdout and of stderr, and
    /// is part of every message.
    pub token: String,
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// The command's whole environment.
    pub env: Vec<(String, String)>,
    /// True if [`MODULE_PATH`] is loaded before the command and unloaded after it.
    pub load_module: bool,
    /// Folders of the host to mount read-only, each at its own path. The tag of the first
    /// is [`share_tag(0)`](share_tag).
    pub shares: Vec<String>,
    /// Size of the terminal that the command's standard streams are connected to;
    /// `None` connects them to the ports.
    pub terminal: Option<TerminalSize>,
}

/// Size of the host's terminal, in characters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Number of lines.
    pub rows: u16,
    /// Number of characters in a line.
    pub columns: u16,
}

/// A message on the verdict port, with the proof that it is one of this run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`Spec::token`].
    pub token: String,
    /// The message.
    pub message: Message,
}

/// A message of the guest to the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The command is about to start.
    Ready,
    /// The command has ended, and so has every process it left behind.
    Ended {
        /// The command's exit status, or 128 plus the number of the signal that
        /// ended the command.
        status: u8,
        /// Errors that the checks of the kernel found afterwards.
        findings: Vec<String>,
    },
    /// The command could not be run, for the given reason.
    Broken(String),
}
