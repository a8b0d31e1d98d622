// SPDX-License-Identifier: GPL-2.0

//! The selftests that the series adds to the kernel pass, with a mapping and without one.

use std::process::Command;

use common::deadline::output_of;
use common::module::unload;
use common::module::Reloaded;

/// Runs the selftests, all of which pass, and returns the number of the skipped ones.
fn skipped() -> usize {
    let output = output_of(&mut Command::new("/bin/go_sched_test"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.lines().any(|line| line.starts_with("ok 1 ")), "{text}");
    text.lines()
        .filter(|line| line.starts_with("ok ") && line.contains("# SKIP"))
        .count()
}

#[test]
fn the_selftests_of_the_kernel_pass() {
    assert_eq!(
        skipped(),
        1,
        "the one that is for a kernel without a mapping"
    );
}

#[test]
fn the_selftests_of_the_kernel_pass_without_a_mapping() {
    let _reloaded = Reloaded;
    unload();
    assert_eq!(skipped(), 4, "those that are for a kernel with a mapping");
}
