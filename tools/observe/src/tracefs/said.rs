// SPDX-License-Identifier: GPL-2.0

//! The text of tracepoints.

use std::str::FromStr;

pub(super) const EXIT_DEAD: u32 = 0x10;
pub(super) const EXIT_ZOMBIE: u32 = 0x20;
/// `CLONE_THREAD` of clone(2).
const CLONE_THREAD: u64 = 0x10000;

/// A thread as a tracepoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who<'a> {
    pub(super) name: &'a str,
    pub(super) tid: i32,
    pub(super) prio: i16,
}

/// What a tracepoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Switch {
        from: Who<'a>,
        to: Who<'a>,
        /// As the kernel has it, 0 if the thread is runnable.
        state: u32,
        preempted: bool,
    },
    Wakeup {
        who: Who<'a>,
        cpu: u32,
    },
    Migrate {
        who: Who<'a>,
        cpu: u32,
    },
    Birth {
        child: i32,
        name: &'a str,
        is_thread: bool,
    },
    Exec {
        tid: i32,
        before: i32,
    },
    Exit(Who<'a>),
}

impl<'a> Said<'a> {
    /// Reads the text of a tracepoint of [`TRACEPOINTS`](super::TRACEPOINTS). Fields are taken from the end: names
    /// may be any text, and are too short for two fields.
    pub(super) fn parse(tracepoint: &str, text: &'a str) -> Option<Self> {
        match tracepoint {
            "sched_switch" => {
                const ARROW: &str = " ==> ";
                // A name may have an arrow in it.
                let mut arrows = text.match_indices(ARROW);
                arrows.find_map(|(at, _)| Self::switch(&text[..at], &text[at + ARROW.len()..]))
            }
            "sched_wakeup" | "sched_wakeup_new" => {
                let (rest, cpu) = last(text, " target_cpu=")?;
                let who = who(rest, ["comm=", " pid=", " prio="])?;
                Some(Self::Wakeup { who, cpu })
            }
            "sched_migrate_task" => {
                let (rest, cpu) = last(text, " dest_cpu=")?;
                let (rest, _) = last::<u32>(rest, " orig_cpu=")?;
                let who = who(rest, ["comm=", " pid=", " prio="])?;
                Some(Self::Migrate { who, cpu })
            }
            "task_newtask" => {
                let (child, rest) = text.strip_prefix("pid=")?.split_once(" comm=")?;
                let (rest, _) = last::<i32>(rest, " oom_score_adj=")?;
                let (name, flags) = rest.rsplit_once(" clone_flags=")?;
                Some(Self::Birth {
                    child: child.parse().ok()?,
                    name,
                    is_thread: u64::from_str_radix(flags, 16).ok()? & CLONE_THREAD != 0,
                })
            }
            "sched_process_exec" => {
                let (rest, before) = last(text, " old_pid=")?;
                let (_, tid) = last(rest, " pid=")?;
                Some(Self::Exec { tid, before })
            }
            "sched_process_exit" => {
                // Linux 6.16 and later say whether it is the last thread.
                let own = text
                    .rsplit_once(" group_dead=")
                    .map_or(text, |(own, _)| own);
                Some(Self::Exit(who(own, ["comm=", " pid=", " prio="])?))
            }
            _ => None,
        }
    }

    fn switch(from: &'a str, to: &'a str) -> Option<Self> {
        let (from, reported) = from.rsplit_once(" prev_state=")?;
        let letters = reported.strip_suffix('+');
        Some(Self::Switch {
            from: who(from, ["prev_comm=", " prev_pid=", " prev_prio="])?,
            to: who(to, ["next_comm=", " next_pid=", " next_prio="])?,
            state: state(letters.unwrap_or(reported))?,
            preempted: letters.is_some(),
        })
    }
}

/// Returns a number at the end of a text, and what is before its field.
fn last<'a, T: FromStr>(text: &'a str, field: &str) -> Option<(&'a str, T)> {
    let (rest, number) = text.rsplit_once(field)?;
    Some((rest, number.parse().ok()?))
}

fn who<'a>(text: &'a str, [name, tid, prio]: [&str; 3]) -> Option<Who<'a>> {
    let (rest, prio) = last(text, prio)?;
    let (rest, tid) = last(rest, tid)?;
    Some(Who {
        name: rest.strip_prefix(name)?,
        tid,
        prio,
    })
}

/// Returns the state for the letters that the kernel writes for it, see
/// include/trace/events/sched.h.
fn state(letters: &str) -> Option<u32> {
    let mut state = 0;
    for letter in letters.split('|') {
        state |= match letter {
            "R" => 0,
            "S" => 1,
            "D" => 2,
            "T" => 4,
            "t" => 8,
            "X" => EXIT_DEAD,
            "Z" => EXIT_ZOMBIE,
            "P" => 0x40,
            // TASK_IDLE.
            "I" => 0x402,
            _ => return None,
        };
    }
    Some(state)
}
