// SPDX-License-Identifier: GPL-2.0

//! CPUs that go and come back.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::operation::Operation;
use crate::world::World;

pub(super) static OPERATIONS: [Operation; 1] = [Operation::new("hotplug", 2, cycle).needs(missing)];

/// One CPU at a time, so that some are left.
static TURN: Mutex<()> = Mutex::new(());

/// The default slice depends on the number of CPUs, unless this file has "0".
const SCALING: &str = "/sys/kernel/debug/sched/tunable_scaling";

/// The files that control the CPUs that can go; CPU 0 cannot.
fn switches() -> Vec<PathBuf> {
    let switch = |cpu| PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/online"));
    (1..)
        .map(switch)
        .take_while(|switch| switch.exists())
        .collect()
}

fn missing(_world: &World) -> Option<String> {
    if switches().is_empty() {
        return Some("no CPU can be taken offline".to_owned());
    }
    let fixed = fs::write(SCALING, "0");
    fixed.err().map(|error| format!("{SCALING}: {error}"))
}

fn cycle(_world: &World, rng: &mut Rng) {
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

/// Brings all CPUs back.
pub(crate) fn all_online() -> io::Result<()> {
    for switch in switches() {
        fs::write(switch, "1")?;
    }
    Ok(())
}
