// SPDX-License-Identifier: GPL-2.0

//! What the two sides of a run agree on: `run` on the host, `init` in the guest.
//!
//! Each of the command's streams has a virtio port of its own, and so has the
//! verdict: nothing that the command prints can be taken for one, and no failure
//! that keeps the guest from speaking can be taken for success.
//!
//! On the verdict port, one JSON line each:
//!
//! 1. the guest says [`Message::Ready`]; from here on the host forwards stdin;
//! 2. the guest says [`Message::Ended`] or [`Message::Broken`];
//! 3. the host, when it has all of stdout and stderr, says [`GOODBYE`], and the
//!    guest powers off.

use serde::Deserialize;
use serde::Serialize;

/// Name of the virtio port that carries the command's standard input.
pub const STDIN_PORT: &str = "stdin";
/// Name of the virtio port that carries the command's standard output.
pub const STDOUT_PORT: &str = "stdout";
/// Name of the virtio port that carries the command's standard error.
pub const STDERR_PORT: &str = "stderr";
/// Name of the virtio port that carries [`Line`]s.
pub const VERDICT_PORT: &str = "verdict";

/// Where the initramfs holds the [`Spec`], as JSON.
pub const SPEC_PATH: &str = "/etc/go_sched_run.json";
/// Where the initramfs holds the module.
pub const MODULE_PATH: &str = "/lib/modules/go_sched_class.ko";

/// What the host answers to the last message.
pub const GOODBYE: u8 = b'.';

/// What the guest is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Random, new in each run. It ends the guest's stdout and stderr, and
    /// stands in every message.
    pub token: String,
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Whether to load [`MODULE_PATH`] before the command and unload it after.
    pub load_module: bool,
    /// The size of the terminal that the command gets, instead of the ports, as
    /// its standard streams.
    pub terminal: Option<TerminalSize>,
}

/// How large the host's terminal is, in characters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Number of lines.
    pub rows: u16,
    /// Number of characters in a line.
    pub columns: u16,
}

/// One line on the verdict port.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    /// [`Spec::token`].
    pub token: String,
    /// What the guest has to say.
    pub message: Message,
}

/// What the guest has to say.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The command is about to start.
    Ready,
    /// The command has ended, and so has every process it left behind.
    Ended {
        /// Its exit status, or 128 and the number of the signal that ended it.
        status: u8,
        /// What the checks of the kernel found afterwards; empty is good.
        findings: Vec<String>,
    },
    /// The command could not be run; the text says why.
    Broken(String),
}
