// SPDX-License-Identifier: GPL-2.0

//! `gosched completions` and `gosched man`: completions and manual pages, from the same
//! source as the help.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use roff::bold;
use roff::italic;
use roff::roman;
use roff::Roff;

use crate::command_line::command;
use crate::error::Error;
use crate::output::print;

/// The words before the exit statuses in the help of a verb.
const EXIT_STATUS: &str = "Exit status: ";

/// The exit statuses of a verb whose help has none.
const USUAL_EXIT_STATUS: &str = "0 on success, 1 on failure, 2 if the command line is wrong";

/// Manual pages of others that each page refers to.
const RELATED: [&str; 4] = ["chrt(1)", "nice(1)", "sched_setattr(2)", "sched(7)"];

/// The sections of a page that the help does not have.
struct Extra {
    /// Commands, each with what it does.
    examples: &'static [(&'static str, &'static str)],
    /// Paths, each with its meaning.
    files: &'static [(&'static str, &'static str)],
}

const DEVICE: (&str, &str) = (
    "/dev/go_sched",
    "the device of the kernel module go_sched_class, through which priorities are set and read",
);
const PROC: (&str, &str) = (
    "/proc/PID/task",
    "the threads of a process, with their CPU time and control group",
);
const EXECUTABLE: (&str, &str) = (
    "/proc/PID/exe",
    "the executable, in which the names of functions tell what a Go program was built with",
);
const CGROUP: (&str, &str) = (
    "/sys/fs/cgroup",
    "control groups; their cpu.max, or cpu.cfs_quota_us of version 1, limits threads below \
     priority 48, and their cpu.stat counts how often it did",
);
const SCHED_EXT: (&str, &str) = (
    "/sys/kernel/sched_ext",
    "tells whether a sched_ext scheduler runs the threads",
);
const BTF: (&str, &str) = (
    "/sys/kernel/btf/vmlinux",
    "the kernel's types, which its BPF programs are fitted to",
);
const RECORD: (&str, &str) = (
    "gosched-record",
    "the folder of a record, unless another one is named",
);

/// Returns the extra sections of the page of a verb.
fn extra(verb: &str) -> Extra {
    let (examples, files): (&[_], &[_]) = match verb {
        "gosched" => (
            &[
                ("gosched check", "Check that everything is in place."),
                (
                    "gosched run 24 -- ./batch",
                    "Run a program below all ordinary ones.",
                ),
                (
                    "gosched set 50 1234",
                    "Let thread 1234 run before all ordinary threads.",
                ),
                ("gosched top", "See the CPU time that threads get."),
            ],
            &[
                DEVICE,
                (
                    "/sys/module/go_sched_class/parameters",
                    "the parameters of the module",
                ),
            ],
        ),
        "set" => (
            &[
                (
                    "gosched set 50 1234",
                    "Let thread 1234 run before all ordinary threads.",
                ),
                (
                    "gosched set -a --inherit 8 5678",
                    "Let process 5678, and all that it starts from now on, run only where \
                     nothing else wants to.",
                ),
            ],
            &[DEVICE],
        ),
        "get" => (
            &[
                (
                    "gosched get -a 5678",
                    "Show all threads of process 5678, one a line.",
                ),
                (
                    "gosched get --json 1234 | jq '.[0].priority'",
                    "Print only the priority of thread 1234.",
                ),
            ],
            &[DEVICE, EXECUTABLE],
        ),
        "clear" => (
            &[(
                "gosched clear -a 5678",
                "Return the threads of process 5678 to the scheduling that they had before.",
            )],
            &[DEVICE],
        ),
        "ceiling" => (
            &[
                (
                    "gosched ceiling 50 1234",
                    "Let the user of thread 1234 give it any priority up to 50.",
                ),
                (
                    "gosched ceiling none 1234",
                    "Let the user give it only what chrt and renice allow.",
                ),
            ],
            &[DEVICE],
        ),
        "stats" => (
            &[(
                "gosched stats -a 5678",
                "Show how often each thread of process 5678 was changed.",
            )],
            &[DEVICE],
        ),
        "watch" => (
            &[
                (
                    "gosched watch -a 5678",
                    "Print changes of all threads of process 5678, new ones included.",
                ),
                (
                    "gosched watch --json 1234 | jq .priority",
                    "Print the priority of thread 1234 whenever it changes.",
                ),
            ],
            &[DEVICE],
        ),
        "trace" => (
            &[
                (
                    "gosched trace -- ./server",
                    "Run a program, and print the changes of its threads.",
                ),
                (
                    "gosched trace -p 5678 --json",
                    "Print the changes of a process that runs, as JSON.",
                ),
            ],
            &[
                (
                    "/sys/kernel/tracing/instances",
                    "trace buffers; gosched has one there while it runs",
                ),
                (
                    "/sys/kernel/tracing/events/go_sched",
                    "the tracepoints and their fields",
                ),
            ],
        ),
        "record" => (
            &[
                (
                    "gosched record --go-trace trace.out -- ./server -trace trace.out",
                    "Record a Go program that writes a trace of its runtime, to its end.",
                ),
                (
                    "gosched record -p 5678 -t 10",
                    "Record a process that runs, for ten seconds.",
                ),
            ],
            &[BTF, RECORD],
        ),
        "timeline" => (
            &[
                ("gosched timeline", "Show where the time went."),
                (
                    "gosched timeline -o server.pftrace",
                    "Write a file for Perfetto's viewer.",
                ),
            ],
            &[RECORD],
        ),
        "why" => (
            &[
                (
                    "gosched why 1234",
                    "Tell from a record why thread 1234 did not run.",
                ),
                (
                    "gosched why 1234 -t 5",
                    "Watch the thread for five seconds, and then tell.",
                ),
            ],
            &[BTF, RECORD],
        ),
        "heat" => (
            &[
                ("gosched heat", "Show the delays of a record."),
                (
                    "gosched heat -p 5678 -t 60 --svg server.svg",
                    "Draw the delays of a process in the next minute.",
                ),
            ],
            &[BTF, RECORD],
        ),
        "lag" => (
            &[
                (
                    "gosched lag -p 5678 -t 3",
                    "Look at the threads of a process for three seconds.",
                ),
                (
                    "gosched lag -- ./server",
                    "Run a program, and show a summary of its threads.",
                ),
            ],
            &[BTF, PROC],
        ),
        "spikes" => (
            &[(
                "gosched spikes gosched-record latencies.csv --above 20",
                "Tell what caused latencies above 20 ms.",
            )],
            &[RECORD],
        ),
        "top" => (
            &[
                (
                    "gosched top -p 5678 --all",
                    "Show all threads of process 5678.",
                ),
                (
                    "gosched top -b -n 1 --sort cpu | head",
                    "Print the threads that use most CPU time, once.",
                ),
            ],
            &[DEVICE, PROC, EXECUTABLE, CGROUP, SCHED_EXT],
        ),
        "run" => (
            &[
                (
                    "gosched run 24 -- make -j8",
                    "Run a build below all ordinary programs.",
                ),
                (
                    "gosched run 32 --ceiling 50 -- ./server",
                    "Run a server that may raise its own threads up to 50.",
                ),
                (
                    "gosched run --try 24 -- ./batch",
                    "Run a program also where no priority can be set.",
                ),
            ],
            &[DEVICE],
        ),
        "check" => (
            &[
                (
                    "gosched check || exit 1",
                    "Go on only where priorities can be set.",
                ),
                (
                    "gosched check --unit etcd",
                    "Check also that the drop-in of a service is in force.",
                ),
                (
                    "gosched check --pid 5678",
                    "Check also that a Go program does not wait for threads that are lower.",
                ),
            ],
            &[
                DEVICE,
                PROC,
                EXECUTABLE,
                CGROUP,
                SCHED_EXT,
                (
                    "/sys/kernel/debug/sched/fair_server",
                    "the CPU time that each CPU keeps for ordinary threads beside busy rt threads",
                ),
            ],
        ),
        "map" => (
            &[("gosched map | grep rt", "List the levels of the rt band.")],
            &[],
        ),
        _ => (&[], &[DEVICE]),
    };
    Extra { examples, files }
}

/// Writes the completions of a shell to standard output.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Error> {
    let mut command = command();
    // clap_complete panics when a write fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "gosched", &mut script);
    print(|out| out.write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for the command and one for each verb to a folder.
pub(crate) fn man(dir: &Path) -> Result<ExitCode, Error> {
    write_pages(dir).map_err(|error| Error::Write {
        path: dir.to_owned(),
        error,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(dir: &Path) -> io::Result<()> {
    let mut whole = command().disable_help_subcommand(true);
    whole.build();
    let pages: Vec<&Command> = whole
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .chain([&whole])
        .collect();

    fs::create_dir_all(dir)?;
    for page in &pages {
        let others = pages.iter().filter(|other| !std::ptr::eq(*other, page));
        let man = Man::new((*page).clone())
            .title(title(page).to_uppercase())
            // A blank date: roff leaves out an empty argument, and shifts the rest.
            .date(" ")
            .source(concat!("gosched ", env!("CARGO_PKG_VERSION")))
            .manual("Go priorities of threads");
        let file = File::create(dir.join(man.get_filename()))?;
        render(&man, page, others.map(|other| title(other)), file)?;
    }
    Ok(())
}

/// Returns the name of the page of a command, such as `gosched-set`.
fn title(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// Writes one page: the help and the extra sections.
fn render<'a>(
    man: &Man,
    command: &Command,
    others: impl Iterator<Item = &'a str>,
    file: File,
) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut out)?;
    }
    extra_sections(command, others).to_writer(&mut out)?;
    // Dropping the buffer would hide an error such as a full disk.
    out.flush()
}

/// Returns the sections after those that clap_mangen writes.
fn extra_sections<'a>(command: &Command, others: impl Iterator<Item = &'a str>) -> Roff {
    let Extra { examples, files } = extra(command.get_name());
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let (notes, exit_status) = help
        .split_once(EXIT_STATUS)
        .unwrap_or((&help, USUAL_EXIT_STATUS));

    let mut roff = Roff::new();
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        verbatim(&mut roff, notes.trim_end());
    }
    roff.control("SH", ["EXIT STATUS"]);
    verbatim(&mut roff, exit_status);
    if !files.is_empty() {
        roff.control("SH", ["FILES"]);
        for (path, meaning) in files {
            roff.control("TP", []);
            roff.text([italic(*path)]);
            roff.text([roman(*meaning)]);
        }
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        for (command, meaning) in examples {
            roff.control("TP", []);
            roff.text([bold(*command)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let pages: Vec<String> = others
        .map(|page| format!("{page}(1)"))
        .chain(RELATED.map(str::to_owned))
        .collect();
    roff.text([roman(pages.join(", "))]);
    roff
}

/// Adds lines as they are, without filling them.
fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(verb: &str) -> String {
        let mut whole = command().disable_help_subcommand(true);
        whole.build();
        let verb = whole.find_subcommand(verb).expect("a verb");
        extra_sections(verb, ["gosched"].into_iter()).render()
    }

    #[test]
    fn the_exit_statuses_are_those_of_the_help() {
        let run = page("run");
        let (notes, rest) = run.split_once(".SH \"EXIT STATUS\"").expect("a section");
        let (statuses, _) = rest.split_once(".SH").expect("a section after it");
        assert!(notes.contains("With \\-\\-ceiling"), "{notes}");
        assert!(!notes.contains("125"), "{notes}");
        assert!(statuses.contains("that of COMMAND"), "{statuses}");
        assert!(
            statuses.contains("127  COMMAND was not found"),
            "{statuses}"
        );
        assert!(page("set").contains(USUAL_EXIT_STATUS));
    }

    #[test]
    fn a_page_has_examples_files_and_neighbours() {
        let page = page("ceiling");
        for expected in [
            ".SH FILES",
            "/dev/go_sched",
            ".SH EXAMPLES",
            "gosched ceiling 50 1234",
            ".SH \"SEE ALSO\"",
            "gosched(1), chrt(1)",
        ] {
            assert!(page.contains(expected), "{expected}: {page}");
        }
    }

    #[cfg(feature = "observe")]
    #[test]
    fn verbs_that_observe_have_examples_and_no_device() {
        for verb in ["record", "timeline", "why", "heat", "lag", "spikes"] {
            let page = page(verb);
            let has_example = page.contains(".SH EXAMPLES");
            assert!(has_example && !page.contains("/dev/"), "{page}");
        }
        let statuses = page("record");
        let (notes, _) = statuses
            .split_once(".SH \"EXIT STATUS\"")
            .expect("a section");
        assert!(!notes.contains("126"), "{notes}");
    }
}
