// SPDX-License-Identifier: GPL-2.0

//! The subjects of figures about goroutines.

use serde::Deserialize;
use serde::Serialize;
use strum::VariantArray;

/// What waits beside which goroutines of the same program.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Wait {
    /// A request beside goroutines that compute.
    #[serde(rename = "request beside 4 computing goroutines")]
    Computing4,
    /// The same beside more of them.
    #[serde(rename = "request beside 16 computing goroutines")]
    Computing16,
    /// A request beside goroutines that allocate.
    #[serde(rename = "request beside 4 allocating goroutines")]
    Allocating4,
    /// The same beside more of them.
    #[serde(rename = "request beside 16 allocating goroutines")]
    Allocating16,
    /// A request that allocates, beside goroutines that do.
    #[serde(rename = "allocating request beside 4 allocating goroutines")]
    GcPressure,
    /// A request to a server of net/http, from another process.
    #[serde(rename = "net/http beside 4 gzip goroutines")]
    Http,
    /// A call that stops the world.
    #[serde(rename = "stop of the world, 4 allocating goroutines")]
    Stop,
    /// The same beside another process that keeps the CPUs busy.
    #[serde(rename = "stop of the world, 4 allocating goroutines and a busy process")]
    StopBesideProcess,
}

/// What is done so that requests need not wait.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Remedy {
    /// Nothing.
    #[serde(rename = "nothing")]
    Nothing,
    /// One P more than CPUs.
    #[serde(rename = "more Ps")]
    MorePs,
    /// The background on threads of its own at 8, by the device; each thread with a P.
    #[serde(rename = "threads, SET")]
    Set,
    /// The same by hints.
    #[serde(rename = "threads, hint")]
    Hint,
    /// The same by the policy of that name.
    #[serde(rename = "threads, SCHED_IDLE")]
    Idle,
    /// The requests on a thread of `SCHED_RR`; each thread with a P.
    #[serde(rename = "threads, chrt -r")]
    RoundRobin,
    /// The goroutines of the background at 8, in the Go runtime alone.
    #[serde(rename = "goroutines, no device")]
    Overlay,
    /// The same, and the threads follow.
    #[serde(rename = "goroutines, go_sched")]
    GoSched,
}

/// A figure of a run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Outcome {
    /// The time that half of the waits do not exceed.
    #[serde(rename = "p50")]
    P50,
    /// The time that 99 of 100 do not exceed.
    #[serde(rename = "p99")]
    P99,
    /// The longest time.
    #[serde(rename = "max")]
    Max,
    /// Units of the background's work, in a second.
    #[serde(rename = "background")]
    Background,
    /// Collections of garbage, in a second.
    #[serde(rename = "collections/s")]
    Collections,
}

/// An operation of Go's scheduler.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum GoOperation {
    /// A switch to another goroutine by a channel.
    #[serde(rename = "channel switch")]
    Switch,
    /// A switch to another goroutine by `runtime.Gosched`.
    #[serde(rename = "runtime.Gosched")]
    Gosched,
    /// A goroutine that starts, ends, and is waited for.
    #[serde(rename = "go and end")]
    Go,
    /// A whole program, whose goroutines compute, allocate and communicate.
    #[serde(rename = "a program")]
    Program,
}

/// The Go runtime that an operation runs in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, VariantArray,
)]
pub enum Runtime {
    /// The runtime as it is.
    #[serde(rename = "plain")]
    Plain,
    /// The overlay, without the device.
    #[serde(rename = "overlay, no device")]
    Overlay,
    /// The overlay, with threads that are bound.
    #[serde(rename = "overlay, go_sched")]
    GoSched,
    /// The same without the device after a goroutine was lowered; of a program, all are.
    #[serde(rename = "somebody lowered, no device")]
    OverlayLowered,
    /// The same with the device.
    #[serde(rename = "somebody lowered, go_sched")]
    GoSchedLowered,
}

serde_plain::derive_display_from_serialize!(Wait);
serde_plain::derive_display_from_serialize!(Remedy);
serde_plain::derive_display_from_serialize!(Outcome);
serde_plain::derive_display_from_serialize!(GoOperation);
serde_plain::derive_display_from_serialize!(Runtime);
serde_plain::derive_fromstr_from_deserialize!(Wait);
serde_plain::derive_fromstr_from_deserialize!(Remedy);
