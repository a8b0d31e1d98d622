// SPDX-License-Identifier: GPL-2.0

//! The chapters of the page.

use go_sched_bench_data::Chapter;
use go_sched_bench_data::Kernel;
use maud::html;
use maud::Markup;

use super::plot;
use super::tables;
use crate::boots;
use crate::format;
use crate::plots::Plot;
use crate::report::Boot;
use crate::report::Report;
use crate::results::Results;
use crate::service::BEYOND;
use crate::statistics::Summary;

/// Where each starts, and what it is called.
pub(super) const TITLES: &[(&str, &str)] = &[
    ("paths", "Hot path"),
    ("changes", "A change"),
    ("service", "A server"),
    ("scale", "Growth"),
    ("time", "Time to result"),
    ("claims", "Claims"),
    ("goals", "Goals"),
    ("missing", "Not measured"),
    ("method", "Method"),
];

/// A heading that can be linked to.
fn chapter(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            (body)
        }
    }
}

/// Said where there is nothing to show.
fn nothing() -> Markup {
    html! { p { "Not measured, " a href="#missing" { "see below" } "." } }
}

pub(super) fn paths(results: &Results, plots: &[Plot]) -> Markup {
    let body = html! {
        p {
            "Everybody pays on the paths of the scheduler, whether he uses go_sched or not. The "
            "same program runs on an unpatched kernel, on the patched one without the module, and "
            "with the module loaded: on threads that are not managed, and managed. The first thread "
            "that is bound to a slot, or granted a ceiling, turns the hooks on: after that, on threads "
            "that are not managed, and on threads managed by a hint that does not change."
        }
        @if results.figures.operations(Chapter::Path).is_empty() { (nothing()) } @else {
            (plot(plots, "paths"))
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
        }
    };
    chapter("paths", "Cost on the hot path", &body)
}

pub(super) fn changes(results: &Results, plots: &[Plot]) -> Markup {
    let body = html! {
        p {
            "A thread is moved to another priority and back; a figure is one of the two changes. "
            "Linux's own calls make the change that go_sched's mapping makes, and those that cannot "
            "express it are left out."
        }
        @if results.figures.operations(Chapter::Change).is_empty() { (nothing()) } @else {
            (plot(plots, "changes"))
            (tables::changes(&results.figures))
            p {
                "An ioctl is go_set_schedprio and, on the way, what every ioctl pays: the lookup "
                "of the file, the dispatch, and the copy of the structure from user space. Most of "
                "each call is the scheduler's: the thread leaves its queue and enters it anew."
            }
        }
    };
    chapter("changes", "Cost of a change", &body)
}

pub(super) fn service(results: &Results, plots: &[Plot]) -> Markup {
    let body = html! {
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
        @match &results.service {
            None => (nothing()),
            Some(service) => {
                (plot(plots, "service-percentiles"))
                (plot(plots, "service-tails"))
                (plot(plots, "service-throughput"))
                (plot(plots, "service-jitter"))
                (tables::service(service))
                p.muted {
                    "Quantiles are those of all repeats together; differences are against nothing "
                    "done. Less than " (BEYOND) " requests beyond a quantile are too few for it (\"-\"); one that was not "
                    "answered is later than all others. Threads of Go's garbage "
                    "collector cannot be told from those that answer: under GC pressure, what is "
                    "done about the server is done about them too."
                }
            }
        }
    };
    chapter("service", "What it buys: a server under load", &body)
}

pub(super) fn scale(results: &Results, plots: &[Plot]) -> Markup {
    let body = html! {
        @if results.figures.operations(Chapter::Scale).is_empty() { (nothing()) } @else {
            (plot(plots, "scale"))
            (tables::scale(&results.figures))
        }
    };
    chapter("scale", "How it grows", &body)
}

pub(super) fn time(report: &Report, plots: &[Plot]) -> Markup {
    let body = html! {
        @if report.waits.is_empty() { (nothing()) } @else {
            (plot(plots, "time"))
            div.table { table {
                tr {
                    th { "" } th.number { "median" } th.number { "spread" } th { "how" }
                    th { "of which" }
                }
                @for wait in &report.waits {
                    @if let Some(summary) = Summary::of(&wait.repeats) {
                        tr {
                            td { (wait.what) }
                            td.number { (format::seconds(summary.median)) }
                            td.number {
                                @if summary.repeats > 1 { (format::seconds(summary.spread())) }
                            }
                            td { (wait.how) }
                            td {
                                @for step in &wait.steps {
                                    div { (step.step) ": " (format::seconds(step.seconds)) }
                                }
                            }
                        }
                    }
                }
            } }
        }
    };
    chapter("time", "Time to result", &body)
}

pub(super) fn claims(results: &Results) -> Markup {
    let body = html! {
        p {
            "The article that go_sched comes from makes three claims. It does not say how they were "
            "measured, so each is read as a ratio of nothing done to go_sched, in each of the "
            "scenarios above. The better of go_sched's two ways counts."
        }
        div.table { table {
            tr { th { "claim" } th { "read as" } th { "scenario" } th { "here" } th { "" } }
            @for claim in &results.claims {
                tr {
                    td { (claim.claim) }
                    td { (claim.reading) }
                    td { (claim.scenario) }
                    td { (claim.measured) }
                    td class=(claim.outcome.words().replace(' ', "-")) { (claim.outcome.words()) }
                }
            }
        } }
    };
    chapter("claims", "The article's claims", &body)
}

pub(super) fn goals(results: &Results) -> Markup {
    let body = html! {
        p { (results.tally()) "." }
        div.table { table {
            tr { th { "goal" } th { "limit" } th { "measured" } th { "" } }
            @for goal in &results.goals {
                tr {
                    td { (goal.what) }
                    td { (goal.limit) }
                    td { (goal.measured) }
                    td class=(goal.verdict.words().replace(' ', "-")) { (goal.verdict.words()) }
                }
            }
        } }
    };
    chapter("goals", "Goals", &body)
}

pub(super) fn missing(report: &Report) -> Markup {
    let body = html! {
        @if report.missing.is_empty() { p { "Everything was measured." } } @else {
            div.table { table {
                tr { th { "what" } th { "why" } th { "what does it" } }
                @for missing in &report.missing {
                    tr {
                        td { (missing.what) }
                        td { (missing.why) }
                        td { @if let Some(command) = &missing.command { code { (command) } } }
                    }
                }
            } }
        }
    };
    chapter("missing", "Not measured", &body)
}

pub(super) fn method(report: &Report) -> Markup {
    let machine = &report.machine;
    let body = html! {
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
            "This machine: " (machine.cpu) ", " (machine.cpus) " CPUs, Linux " (machine.kernel)
            @if let Some(qemu) = &machine.qemu { ", " (qemu) } "."
        }
        @for boot in &report.boots { (boot_details(boot)) }
    };
    chapter("method", "Method, kernels, notes", &body)
}

fn boot_details(boot: &Boot) -> Markup {
    html! {
        h3 { (boots::title(boot.part)) }
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
