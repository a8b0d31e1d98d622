// SPDX-License-Identifier: GPL-2.0

//! The guide, docs/: each command of a page does in the guest what the page shows.
//! tools/cli/src/documented.rs has the messages that no such command prints.
//!
//! The commands of a section run one after the other, those after "# " in a shell of
//! root, those after "$ " in one of a user. What they print, to both streams, is
//! compared with the lines that follow, in which "[..]" stands for any text and a line
//! "..." for any lines. A command that fails is one whose message is shown. A block in
//! a comment, which readers do not see, runs like the others.
//!
//! The harness is one that learns the tests when it runs: each section is one.

mod fixture;
mod pages;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;

use crate::fixture::Fixture;
use crate::fixture::ENDS_AT_ONCE;
use crate::pages::sections;
use crate::pages::GUEST;
use crate::pages::PAGES;
use crate::pages::README;

/// A test of no single section.
type Check = fn() -> Result<(), Failed>;

/// The commands of the README, where 1234 and 5678 stand for a thread and a process.
fn readme() -> Result<(), Failed> {
    let sections = sections(README);
    let section = sections.iter().find(|section| section.heading == "Use it");
    let commands = section.and_then(|section| section.blocks.first());
    let commands = commands.ok_or("the README has no commands in \"Use it\"")?;
    let mut fixture = Fixture::new();
    fixture.succeed_as_root(&format!("export {ENDS_AT_ONCE}="))?;
    // As most systems have it from the start.
    fixture.succeed_as_root("mount -t tracefs tracefs /sys/kernel/tracing")?;
    for line in commands.text.lines() {
        let command = line.split("  # ").next().unwrap_or(line).trim_end();
        let command = ["1234", "5678"]
            .iter()
            .fold(command.to_owned(), |command, id| {
                command.replace(id, "$(pidof server)")
            });
        // What would go on for ever, or take a terminal.
        let command = command
            .replace("gosched top", "gosched top --batch --iterations 1")
            .replace("gosched watch", "timeout -s INT 2 gosched watch");
        fixture.succeed_as_root(&command)?;
    }
    // A page tells of its absence.
    fixture.succeed_as_root("umount /sys/kernel/tracing")
}

fn main() -> ExitCode {
    fixture::run_program_if_named_so();
    fixture::add_group();

    let tests: [(&str, Check); 4] = [
        ("each_block_is_of_a_known_kind", pages::check_kinds),
        ("go_code_is_that_of_the_examples", pages::check_go_code),
        ("links_lead_somewhere", pages::check_links),
        ("the_commands_of_the_readme_succeed", readme),
    ];
    let mut trials: Vec<_> = tests
        .into_iter()
        .map(|(name, test)| Trial::test(name, test))
        .collect();
    for (page, text) in PAGES {
        for section in sections(text) {
            if section.blocks.iter().any(|block| block.kind == GUEST) {
                let name = format!("{page}: {}", section.heading);
                trials.push(Trial::test(name, move || Fixture::new().run(&section)));
            }
        }
    }
    let mut arguments = Arguments::from_args();
    // They share the module and the directory.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}
