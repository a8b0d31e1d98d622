// SPDX-License-Identifier: GPL-2.0

//! What the command prints where no kernel is asked.

#[test]
fn the_command_prints_what_is_written_down() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
