// SPDX-License-Identifier: GPL-2.0

//! The page: everything in one file, which needs no other and no script.

mod chapters;
mod tables;

use maud::html;
use maud::Markup;
use maud::PreEscaped;
use maud::DOCTYPE;

use crate::format;
use crate::headline::COLUMNS;
use crate::plots::Plot;
use crate::report::Report;
use crate::results::Results;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn html(report: &Report, results: &Results, plots: &[Plot]) -> Markup {
    let tree = report.tree.as_deref().unwrap_or("of unknown version");
    html! {
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
                    (format::seconds(report.seconds))
                }
                p.notice { (report.conditions()) }
                nav {
                    @for (id, title) in chapters::TITLES {
                        a href={ "#" (id) } { (title) }
                    }
                }
                (summary(results))
                (chapters::paths(results, plots))
                (chapters::changes(results, plots))
                (chapters::service(results, plots))
                (chapters::scale(results, plots))
                (chapters::time(report, plots))
                (chapters::claims(results))
                (chapters::goals(results))
                (chapters::missing(report))
                (chapters::method(report))
            }
        }
    }
}

fn summary(results: &Results) -> Markup {
    html! {
        @if results.headlines.is_empty() {
            p { "Nothing was measured that could stand here." }
        } @else {
            div.table { table {
                tr { @for column in COLUMNS { th { (column) } } }
                @for headline in &results.headlines {
                    tr { @for cell in headline.cells() { td { (cell) } } }
                }
            } }
            p.muted {
                "A server: without is nothing done about what competes with it; best other the "
                "alternative with the lowest latency at that quantile."
            }
        }
        p { "Goals: " (results.tally()) ", " a href="#goals" { "see below" } "." }
    }
}

/// The plot of this name, if it was drawn.
fn plot(plots: &[Plot], name: &str) -> Markup {
    html! {
        @if let Some(plot) = plots.iter().find(|plot| plot.name == name) {
            figure {
                h3 { (plot.title) }
                (PreEscaped(&plot.svg))
                figcaption {
                    (plot.caption) " "
                    a href={ (plot.name) ".svg" } { (plot.name) ".svg" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::html;
    use crate::made_up;
    use crate::plots;
    use crate::report::Report;
    use crate::results::Results;

    fn page(report: &Report) -> String {
        let results = Results::of(report).expect("the report is whole");
        let plots = plots::all(&results, &report.waits).expect("they can be drawn");
        html(report, &results, &plots).into_string()
    }

    #[test]
    fn the_page_needs_no_other_file_and_no_script() {
        let page = page(&made_up::report());
        assert_eq!(page.matches("<svg ").count(), 8);
        for foreign in ["<script", "<link", "<img", "src=", "url(", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_was_said_besides_is_text_and_no_markup() {
        let page = page(&made_up::report());
        assert!(page.contains("qemu/run &lt;made up&gt;"));
    }

    #[test]
    fn a_page_without_measurements_says_so() {
        let page = page(&made_up::empty());
        assert!(page.contains("Nothing was measured"));
        assert!(page.contains("not measured"));
    }
}
