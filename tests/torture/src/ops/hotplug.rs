// SPDX-License-Identifier: GPL-2.0

//! CPU hotplug.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::context::Context;
use crate::operation::Operation;

pub(super) static OPERATIONS: [Operation; 1] = [Operation::new("hotplug", 2, cycle).needs(missing)];

/// The lock that is held while a CPU is offline. Only one CPU is offline at a time, so
/// that others stay online.
static TURN: Mutex<()> = Mutex::new(());

/// File that, with "0", keeps the default slice independent of the number of CPUs.
const SCALING: &str = "/sys/kernel/debug/sched/tunable_scaling";

/// Returns the files that switch CPUs on and off. CPU 0 has none.
fn switches() -> Vec<PathBuf> {
    let switch = |cpu| PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/online"));
    (1..)
        .map(switch)
        .take_while(|switch| switch.exists())
        .collect()
}

fn missing(_context: &Context) -> Option<String> {
    if switches().is_empty() {
        return Some("no CPU can be taken offline".to_owned());
    }
    let fixed = fs::write(SCALING, "0");
    fixed.err().map(|error| format!("{SCALING}: {error}"))
}

fn cycle(_context: &Context, rng: &mut Rng) {
    let Ok(_turn) = TURN.try_lock() else {
        return;
    };
    let switches = switches();
    let Some(switch) = rng.choice(&switches) else {
        return;
    };
    fs::write(switch, "0").expect("no thread keeps a CPU online");
    thread::sleep(Duration::from_millis(rng.u64(..20)));
    fs::write(switch, "1").expect("a CPU comes back");
}

/// Brings all CPUs online.
pub(crate) fn all_online() -> io::Result<()> {
    for switch in switches() {
        fs::write(switch, "1")?;
    }
    Ok(())
}
