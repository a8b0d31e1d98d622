// SPDX-License-Identifier: MIT OR GPL-2.0

//! A thread steps back for one piece of its work, and returns, without a system call.

use std::error::Error;
use std::thread;
use std::time::Duration;

use gosched::policy::GoPrio;
use gosched::Device;
use gosched::HintPage;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::open()?;
    // One slot for each thread that is to have a hint.
    let page = HintPage::map(&device, 1)?;
    let hint = page.bind(0)?;

    hint.set(GoPrio::MIN);
    compact();
    println!("while it compacts: {:?}", hint.applied());

    hint.clear();
    answer();
    println!("while it answers: {:?}", hint.applied());
    Ok(())
}

fn compact() {
    // Stands for work that may wait.
    thread::sleep(Duration::from_millis(1));
}

fn answer() {
    // Stands for work that somebody waits for.
    thread::sleep(Duration::from_millis(1));
}
