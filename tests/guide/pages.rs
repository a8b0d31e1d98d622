// SPDX-License-Identifier: GPL-2.0

//! The pages: their blocks, and the checks that need no command.

use libtest_mimic::Failed;
use pulldown_cmark::CodeBlockKind;
use pulldown_cmark::Event;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;

/// Files by their paths from docs/, with their contents: a missing one does not
/// compile.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../docs/", $path)))),*]
    };
}

pub(crate) type Files = &'static [(&'static str, &'static str)];

/// The pages; the index, which is the first, has a link to each.
pub(crate) const PAGES: Files = files![
    "README.md",
    "background.md",
    "batch.md",
    "container.md",
    "goroutines.md",
    "install.md",
    "lab.md",
    "observe.md",
    "process.md",
    "security.md",
    "states.md",
    "timing.md",
    "troubleshooting.md",
];

/// The other files that the pages link to.
const LINKED: Files = files![
    "../README.md",
    "../bench/data/src/lab/table.rs",
    "../bench/show/src/report.rs",
    "../go/doc.go",
    "../go/internal/disturbed/main.go",
    "../go/internal/traced/main.go",
    "../go/realtime.go",
    "../packaging/usr/lib/systemd/system/go_sched.service",
    "../packaging/usr/lib/sysusers.d/gosched.conf",
    "../packaging/usr/lib/udev/rules.d/60-go_sched.rules",
    "../tests/guide/main.rs",
    "../tools/observe/bpf/record.h",
    "../uapi/go_sched.h",
];

pub(crate) const README: &str = LINKED[0].1;

/// The files that have the Go code of the pages, and are compiled with the Go packages.
const EXAMPLES: &str = concat!(
    include_str!("../../go/example_test.go"),
    include_str!("../../go/httprole/example_test.go"),
    include_str!("../../go/maxprocs/example_test.go"),
    include_str!("../../go/tracefile/example_test.go")
);

/// The kind of block whose commands run here.
pub(crate) const GUEST: &str = "console";
/// The blocks whose commands the test of the packages runs, which has the commands from
/// docs/commands.
const PACKAGES: [&str; 5] = [
    "console deb",
    "console docker",
    "console podman",
    "console purge",
    "console systemd",
];
/// A block whose commands need what no test has, and that no test runs.
const ELSEWHERE: &str = "console elsewhere";
/// A block that is a part of an example of the Go package.
const GO: &str = "go";
/// A block with messages that no command here can be made to print.
/// tools/cli/src/documented.rs compares the messages with those of the command.
const MESSAGE: &str = "message";
/// A block with messages of the verbs of the feature `observe`, which
/// tools/cli/src/documented/observe.rs compares.
const OBSERVE_MESSAGE: &str = "message observe";
/// A block with messages of the Go package, which go/troubleshooting_test.go compares.
const GO_MESSAGE: &str = "message go";
/// A block with messages of make, which tools/cli/tests/make.rs compares.
const MAKE_MESSAGE: &str = "message make";
/// A block with lines of `gosched check`, which the tests of tools/cli/src/check compare.
const CHECK_MESSAGE: &str = "message check";

/// A part of a page, up to the next heading.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
    links: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The info string, empty for a block that is indented.
    pub(crate) kind: String,
    pub(crate) text: String,
}

pub(crate) fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let (mut in_heading, mut block) = (false, None::<Block>);
    for event in Parser::new(page) {
        let section = sections.last_mut().expect("there is one from the start");
        match event {
            Event::Start(Tag::Heading { .. }) => {
                sections.push(Section::default());
                in_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            Event::Start(Tag::CodeBlock(kind)) => {
                let kind = match kind {
                    CodeBlockKind::Fenced(info) => info.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                block = Some(Block {
                    kind,
                    ..Block::default()
                });
            }
            Event::Start(Tag::HtmlBlock) => block = Some(Block::default()),
            Event::End(TagEnd::CodeBlock) => section.blocks.extend(block.take()),
            Event::End(TagEnd::HtmlBlock) => {
                section.blocks.extend(block.take().and_then(hidden));
            }
            Event::Start(Tag::Link { dest_url, .. }) => section.links.push(dest_url.to_string()),
            Event::Text(text) | Event::Code(text) | Event::Html(text) => {
                if let Some(block) = &mut block {
                    block.text += &text;
                } else if in_heading {
                    section.heading += &text;
                }
            }
            _ => (),
        }
    }
    sections
}

/// Returns the block that a comment has, if any.
fn hidden(comment: Block) -> Option<Block> {
    let inside = comment
        .text
        .trim()
        .strip_prefix("<!--")?
        .strip_suffix("-->")?;
    let (kind, text) = inside.trim_start().split_once('\n')?;
    (kind == GUEST).then(|| Block {
        kind: GUEST.to_owned(),
        text: text.to_owned(),
    })
}

/// A command, and its output.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) as_root: bool,
    pub(crate) command: String,
    pub(crate) printed: String,
}

pub(crate) fn steps(block: &str) -> Result<Vec<Step>, Failed> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        let new = |as_root, command: &str| Step {
            as_root,
            command: command.to_owned(),
            printed: String::new(),
        };
        if let Some(command) = line.strip_prefix("# ") {
            steps.push(new(true, command));
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(new(false, command));
        } else {
            let last = steps.last_mut();
            let last =
                last.ok_or_else(|| format!("a block does not begin with a command: {line}"))?;
            last.printed += line;
            last.printed.push('\n');
        }
    }
    Ok(steps)
}

pub(crate) fn check_kinds() -> Result<(), Failed> {
    for (page, block) in blocks() {
        let Block { kind, text } = block;
        let known = [
            GUEST,
            ELSEWHERE,
            GO,
            MESSAGE,
            OBSERVE_MESSAGE,
            GO_MESSAGE,
            MAKE_MESSAGE,
            CHECK_MESSAGE,
        ];
        if !known.iter().chain(&PACKAGES).any(|known| *known == kind) {
            return Err(
                format!("{page}: nothing checks a block of kind \"{kind}\":\n{text}").into(),
            );
        }
    }
    Ok(())
}

/// Returns all blocks, each with its page.
fn blocks() -> impl Iterator<Item = (&'static str, Block)> {
    let of = |(page, text): &(&'static str, &str)| {
        let page = *page;
        let blocks = sections(text)
            .into_iter()
            .flat_map(|section| section.blocks);
        blocks.map(move |block| (page, block)).collect::<Vec<_>>()
    };
    PAGES.iter().flat_map(of)
}

pub(crate) fn check_go_code() -> Result<(), Failed> {
    // Without the indentation, which is another inside a function.
    fn lines(text: &str) -> Vec<&str> {
        text.lines().map(str::trim_start).collect()
    }
    let examples = lines(EXAMPLES);
    let readme = sections(README).into_iter();
    let readme =
        readme.flat_map(|section| section.blocks.into_iter().map(|block| ("README.md", block)));
    for (page, block) in blocks().chain(readme).filter(|(_, block)| block.kind == GO) {
        let code = lines(&block.text);
        if !examples.windows(code.len()).any(|found| found == code) {
            return Err(format!("{page}: no example has this code:\n{}", block.text).into());
        }
    }
    Ok(())
}

pub(crate) fn check_links() -> Result<(), Failed> {
    let files: Vec<_> = PAGES.iter().chain(LINKED).collect();
    for (page, text) in PAGES {
        let links = sections(text).into_iter().flat_map(|section| section.links);
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() { page } else { file };
            let found = files.iter().find(|(name, _)| *name == file);
            let (_, text) = found.ok_or_else(|| format!("{page}: no file for {link}"))?;
            let has_anchor = |section: &Section| anchor_of(&section.heading) == anchor;
            if !anchor.is_empty() && !sections(text).iter().any(has_anchor) {
                return Err(format!("{page}: no heading for {link}").into());
            }
        }
    }
    let index = sections(PAGES[0].1);
    for (page, _) in &PAGES[1..] {
        if !index
            .iter()
            .any(|section| section.links.iter().any(|link| link == page))
        {
            return Err(format!("the index has no link to {page}").into());
        }
    }
    Ok(())
}

/// Returns the anchor that GitHub makes of a heading.
fn anchor_of(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}
