// SPDX-License-Identifier: GPL-2.0

//! The page: everything in one file, which needs no script; the data lie beside it.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use go_sched_bench_data::Kernel;
use maud::html;
use maud::Markup;
use maud::PreEscaped;
use maud::DOCTYPE;

use crate::charts;
use crate::format;
use crate::goals::tally;
use crate::goals::Goal;
use crate::goals::Verdict;
use crate::headline;
use crate::headline::COLUMNS;
use crate::lab;
use crate::plot::Plot;
use crate::report::Boot;
use crate::report::Report;
use crate::report::FILE;
use crate::report::LAB_FILE;
use crate::results::Results;
use crate::server_charts;
use crate::service::BEYOND;
use crate::tables;

const STYLE: &str = include_str!("style.css");

/// The sections: the anchor and the title of each.
const TITLES: [(&str, &str); 10] = [
    ("paths", "Cost on the hot path"),
    ("changes", "Cost of a change"),
    ("service", "What it buys: a server under load"),
    ("goroutines", "What it buys: goroutines with priorities"),
    ("lowered", "What it may cost: waiting for lowered threads"),
    ("growth", "How it grows"),
    ("lab", "The lab: claims as experiments"),
    ("goals", "Goals"),
    ("missing", "Not measured"),
    ("method", "Method, kernels, notes"),
];

/// Writes the page of a folder with reports, and its data, into a folder, and prints the path.
pub(crate) fn write(from: &Path, into: &Path) -> Result<()> {
    let has = |file| from.join(file).exists();
    let lab = has(LAB_FILE)
        .then(|| Report::read(from, LAB_FILE))
        .transpose()?;
    let report = match &lab {
        Some(lab) if !has(FILE) => Report::new(lab.started.clone(), lab.quick, lab.place),
        _ => Report::read(from, FILE)?,
    };
    let page = html(&report, &Results::of(&report)?, lab.as_ref())?.into_string();
    report.write(into, FILE)?;
    if let Some(lab) = &lab {
        lab.write(into, LAB_FILE)?;
    }
    let path = into.join("index.html");
    std::fs::write(&path, page).with_context(|| path.display().to_string())?;
    println!("The page: {}", path.display());
    Ok(())
}

/// Returns the whole page.
fn html(report: &Report, results: &Results, lab: Option<&Report>) -> Result<Markup> {
    let bodies = [
        paths(results)?,
        changes(results)?,
        service(results)?,
        goroutines(results),
        lowered(results),
        growth(results)?,
        lab::section(lab, figure)?,
        goals(&results.goals),
        missing(report, &results.goals),
        method(report),
    ];
    let tree = report.tree.as_deref().unwrap_or("of unknown version");
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "go_sched " (tree) ": what it costs and what it buys" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "What go_sched costs and what it buys" }
                p.muted {
                    (report.trees()) ", " (report.started) ", "
                    @if report.quick { "a quick run: few repeats, " }
                    (format::seconds(report.seconds)) ". " a href=(FILE) { "The data" } "."
                }
                p.notice { (report.conditions()) }
                nav { @for (id, title) in TITLES { a href={ "#" (id) } { (title) } } }
                (summary(results))
                @for ((id, title), body) in TITLES.iter().zip(bodies) {
                    section id=(id) { h2 { (title) } (body) }
                }
            }
        }
    })
}

fn summary(results: &Results) -> Markup {
    let headlines = headline::all(results);
    html! {
        @if headlines.is_empty() {
            p { "Nothing was measured that could stand here." }
        } @else {
            div.table { table {
                tr { @for column in COLUMNS { th { (column) } } }
                @for headline in &headlines {
                    tr {
                        @for (cell, column) in headline.iter().zip(COLUMNS) {
                            td data-label=(column) { (cell) }
                        }
                    }
                }
            } }
            p.muted {
                "A server: without is nothing done about what competes with it; best other the "
                "alternative with the lowest latency at that quantile."
            }
        }
        p { "Goals: " (tally(&results.goals)) ", " a href="#goals" { "see below" } "." }
    }
}

/// A plot, of which the style sheet shows the drawing that fits.
fn figure(plot: &Plot) -> Markup {
    html! {
        @if plot.wide.is_empty() {
            p { "Not measured, " a href="#missing" { "see below" } "." }
        } @else {
            figure {
                h3 { (plot.title) }
                div.wide { (PreEscaped(&plot.wide)) }
                div.narrow { (PreEscaped(&plot.narrow)) }
                figcaption { (plot.caption) }
            }
        }
    }
}

fn paths(results: &Results) -> Result<Markup> {
    Ok(html! {
        p {
            "Everybody pays on the paths of the scheduler, whether he uses go_sched or not. The "
            "same program runs on an unpatched kernel, on the patched one without the module, and "
            "with the module loaded: on threads that are not managed, and managed. The first thread "
            "that is bound to a slot, or granted a ceiling, turns the hooks on: after that, on threads "
            "that are not managed, and on threads managed by a hint that does not change."
        }
        (figure(&charts::paths(&results.figures)?))
        (tables::paths(&results.figures))
        p.muted {
            "\"tick\" is what one timer tick takes away from a thread that spins. hackbench is "
            "one whole run."
        }
        p {
            "Where it goes: a round trip through a pipe passes four hooks, two switches and "
            "two wakeups. Until the first binding or granted ceiling each is a NOP. After it, "
            "the NOP is a jump to a landing pad, a load of the thread's record, a test and a "
            "branch back; a wakeup also loads the running thread. A managed thread adds a call "
            "on each wakeup, a look at its flags, and a load and a comparison of its hint."
        }
        p {
            "A thread at 32 has a slice of 3 ms, and an ordinary thread the default, which on one "
            "CPU is shorter (base_slice_ns, in debugfs). Where threads preempt each other, as in "
            "hackbench, those at 32 do so less, and are cheaper for that. fork copies memory, "
            "and what that costs depends on where it lies; a process that maps hints has one "
            "mapping more to copy, unless it says MADV_DONTFORK, as this one does."
        }
    })
}

fn changes(results: &Results) -> Result<Markup> {
    Ok(html! {
        p {
            "A thread is moved to another priority and back; a figure is one of the two changes. "
            "Linux's own calls make the change that go_sched's mapping makes, and those that cannot "
            "express it are left out."
        }
        (figure(&charts::changes(&results.figures)?))
        (tables::changes(&results.figures))
        p {
            "An ioctl is go_set_schedprio and, on the way, what every ioctl pays: the lookup "
            "of the file, the dispatch, and the copy of the structure from user space. Most of "
            "each call is the scheduler's: the thread leaves its queue and enters it anew."
        }
    })
}

fn service(results: &Results) -> Result<Markup> {
    let Some(service) = &results.service else {
        return Ok(html! { p { "Not measured, " a href="#missing" { "see below" } "." } });
    };
    Ok(html! {
        p {
            "A Go server answers HTTP requests, which come at a fixed rate whether or not earlier "
            "ones are answered: latency counts from the time a request was due. Something competes "
            "with it for the CPUs, and something is done about that: nothing; " code { "nice" }
            " -20 for the server and 19 for the competition; " code { "SCHED_BATCH" } " or "
            code { "SCHED_IDLE" } " for the competition; " code { "chrt -r" } " for the server; "
            "uclamp for both; go_sched's ioctl with 50 for the server and 8 for the competition; "
            "or go_sched's hint, by which the competition lowers itself to 8 while it burns, "
            "without any privilege. Go's garbage collector is off but under GC pressure."
        }
        p {
            "What raises the server takes privilege: nice -20, chrt -r, and go_sched's 50, the last "
            "of which root can grant to a user. " code { "SCHED_BATCH" } " and "
            code { "SCHED_IDLE" } " take none, and one to undo them. The hint takes none either "
            "way: the competition is back at 32 whenever it says so."
        }
        p {
            "What stays of the tail when the competition is lowered, by a hint or by "
            code { "SCHED_IDLE" } ", is EEVDF's: a thread of the server that got more than its share "
            "beside others of the server pays that back when it runs next, to whoever waits there, "
            "idle levels too. Only what is above EEVDF, at 48 and more, does not."
        }
        (figure(&server_charts::percentiles(service)?))
        (figure(&server_charts::tails(service)?))
        (figure(&server_charts::throughput(service)?))
        (figure(&server_charts::jitter(service)?))
        (tables::service(service, ""))
        @if let Some(one_cpu) = &results.one_cpu {
            (tables::service(one_cpu, ", one CPU, an instruction each nanosecond"))
        }
        p.muted {
            "Quantiles are those of all repeats together; differences are against nothing "
            "done. Less than " (BEYOND) " requests beyond a quantile are too few for it (\"-\"); one that was not "
            "answered is later than all others. Threads of Go's garbage "
            "collector cannot be told from those that answer: under GC pressure, what is "
            "done about the server is done about them too."
        }
    })
}

fn goroutines(results: &Results) -> Markup {
    html! {
        p {
            "A program in Go answers requests beside goroutines of its own that never block. Whoever "
            "becomes ready waits for a P, which the kernel knows nothing of. A request takes 200 us "
            "and comes each 5 ms; those to a server of net/http come from another process, each "
            "100 ms, and of these so few that p99 is the slowest. Latency counts from when a request "
            "was due. The stop of the world is a call of runtime.ReadMemStats, without the wait for "
            "a P before: where there is one P alone, nobody is to be stopped."
        }
        p {
            "What is done about it: nothing; one P more than CPUs; threads of their own, each with a "
            "P, lowered to 8 by SET, by hint or by SCHED_IDLE, or the requests' thread raised by "
            code { "chrt -r" } "; goroutines lowered to 8, by the overlay of Go's runtime alone "
            "(\"no device\"), and with threads that follow. Background is what the goroutines get "
            "done, against nothing done. All of it is on one CPU, where the emulator has no "
            "scheduling of its own; figures are medians of the runs."
        }
        (tables::goroutines(&results.figures))
        h3 { "Cost" }
        p {
            "The plain runtime, the overlay, and the overlay after somebody was lowered, from when on "
            "there are more Ps: what becomes ready may then run on another thread. Of the program, "
            "all goroutines are lowered then."
        }
        (tables::go_costs(&results.figures))
    }
}

fn lowered(results: &Results) -> Markup {
    html! {
        p {
            "Three threads map memory, touch it and unmap it, without end. They are not lowered, or "
            "to one of four levels. Who waits for them: a sibling of the same process, which maps "
            "memory each 5 ms, beside another process that keeps all CPUs busy: the kernel has one "
            "lock for all memory of a process. And a neighbour, a server of another process, which "
            "works for 200 us each 2 ms. All of it is on one CPU, where the emulator has no "
            "scheduling of its own."
        }
        p {
            "At 0 to 15, who is switched out inside the kernel is at its base until it is back in "
            "user mode, and holds up nobody. Others have a share of the CPU, and who waits for what "
            "they hold waits for that share."
        }
        (tables::lowered(&results.figures))
    }
}

fn growth(results: &Results) -> Result<Markup> {
    Ok(html! {
        (figure(&charts::growth(&results.figures)?))
        (tables::growth(&results.figures))
    })
}

fn class(verdict: Verdict) -> String {
    verdict.to_string().replace(' ', "-")
}

fn goals(goals: &[Goal]) -> Markup {
    html! {
        p { (tally(goals)) "." }
        ol {
            @for goal in goals {
                li {
                    span class=(class(goal.verdict)) { (goal.verdict) } " " (goal.what) ": "
                    b { (goal.measured) } " " span.muted { "(" (goal.limit) ")" }
                }
            }
        }
    }
}

fn missing(report: &Report, goals: &[Goal]) -> Markup {
    let unmeasured = || {
        goals
            .iter()
            .filter(|goal| goal.verdict == Verdict::NotMeasured)
    };
    html! {
        @if report.missing.is_empty() && unmeasured().next().is_none() {
            p { "Everything was measured." }
        } @else {
            ul {
                @for missing in &report.missing {
                    li { (missing.part.title()) ": " (missing.why) "; " code { (missing.command) } }
                }
                @for goal in unmeasured() { li { (goal.what) ": " (goal.measured) } }
            }
        }
    }
}

fn method(report: &Report) -> Markup {
    let machine = &report.machine;
    html! {
        p {
            "A figure is the median of its repeats, each of which is a median of many samples; its "
            "spread is from the smallest repeat to the largest. Where a spread is larger than the "
            "difference, no difference is seen, and none is printed."
        }
        p {
            "Instructions (icount): QEMU counts them, and the guest's clock goes by that count; the "
            "same run gives the same figure on any host, however busy. They know nothing of caches, "
            "branch prediction or memory. Ratio within one boot: the clock is that of an emulated "
            "machine, and only what ran on the same boot is compared. Wall clock: real hardware."
        }
        p {
            "The machine of the last run: " (machine.cpu) ", " (machine.cpus) " CPUs, Linux " (machine.kernel)
            @if let Some(qemu) = &machine.qemu { ", " (qemu) } "."
        }
        @for boot in &report.boots { (boot_details(boot)) }
    }
}

fn boot_details(boot: &Boot) -> Markup {
    html! {
        h3 { (boot.part.title()) }
        p {
            (boot.method.label()) ", " (format::seconds(boot.seconds)) br;
            code { (boot.command) }
        }
        @if let Some(kernel) = boot.kernel() { (kernel_details(kernel)) }
        @if let Some(failure) = &boot.failure {
            p.missed { "Its records do not count: " (failure) }
        }
        @if !boot.notes.is_empty() {
            details {
                summary { (boot.notes.len()) " notes" }
                ul { @for note in &boot.notes { li { (note) } } }
            }
        }
    }
}

fn kernel_details(kernel: &Kernel) -> Markup {
    html! {
        p.muted {
            "Linux " (kernel.release) " " (kernel.version) ", " (kernel.cpus) " CPUs, clock "
            (kernel.clock_source) ", "
            @match &kernel.mapping {
                Some(mapping) => { "mapping " (mapping.version) " " (mapping.hash) }
                None => "no mapping in force",
            }
            br; code { (kernel.command_line) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::html;
    use crate::fixture;
    use crate::report::Report;
    use crate::results::Results;

    fn page(report: &Report) -> String {
        let results = Results::of(report).expect("the report is whole");
        html(report, &results, None)
            .expect("it can be drawn")
            .into_string()
    }

    #[test]
    fn the_page_needs_no_other_file_and_no_script() {
        let page = page(&fixture::report());
        assert_eq!(page.matches("<svg ").count(), 2 * 7);
        for foreign in ["<script", "<link", "<img", "src=", "url(", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn each_figure_of_a_table_says_what_it_is_where_columns_have_no_room() {
        let page = page(&fixture::report());
        let rows: Vec<_> = page.split("<tr>").skip(1).collect();
        assert!(rows.len() > 20, "{} rows", rows.len());
        for row in rows {
            let cells = row.matches("<td").count();
            let named =
                row.matches(" data-label=\"").count() - row.matches(" data-label=\"\"").count();
            assert_eq!(named, cells.saturating_sub(1), "{row}");
        }
    }

    #[test]
    fn notes_are_text_and_no_markup() {
        let page = page(&fixture::report());
        assert!(page.contains("qemu/run &lt;fixture&gt;"));
    }

    #[test]
    fn what_was_not_measured_is_said_in_one_place() {
        let page = page(&fixture::empty());
        assert!(page.contains("Nothing was measured"));
        assert!(page.contains("not measured"));
        assert!(!page.contains("Everything was measured"));
    }
}
