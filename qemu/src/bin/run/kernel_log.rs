// SPDX-License-Identifier: GPL-2.0

//! Search of the kernel log for errors that the kernel reports.

/// Parts of lines that begin an error report of the kernel.
const REPORTS: &[&str] = &[
    // WARN(), lockdep's "WARNING: possible circular locking dependency", ...
    "WARNING:",
    // KASAN, "BUG: scheduling while atomic", "BUG: soft lockup", ...
    "BUG:",
    "kernel BUG at",
    "Kernel panic",
    "Oops:",
    "general protection fault",
    "UBSAN:",
    "rust_kernel: panicked",
    "INFO: rcu",
    "rcu: INFO:",
    // Hung tasks, and lockdep's older reports.
    "INFO: task",
    "INFO: possible",
    "INFO: suspicious",
    "INFO: trying to register",
    "INFO: lockdep is turned off",
    "suspicious RCU usage",
    "inconsistent lock state",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "ODEBUG:",
    "new suspected memory leaks",
    "workqueue lockup",
];

/// Lines of a report to show: enough for a stack trace and the lines before it.
const REPORT_LINES: usize = 40;
/// Lines to show of a log without reports.
const TAIL_LINES: usize = 15;

/// Start of KCSAN's report of a data race; the names of two functions follow.
const RACE: &str = "BUG: KCSAN: data-race in ";
/// Line before and after KCSAN's report.
const RACE_RULE: &str = "==========";
/// Part of the name of each function of the series and the module.
const OUR_FUNCTIONS: &str = "go_sched";

/// Returns the lines of `log` without KCSAN's reports of data races between two
/// functions of others, and the number of these reports. The scheduler is known to have
/// many such races.
///
/// A function of ours further up in the stack trace does not count: an interrupt may
/// be in between, or our function called one that writes under the same locks as its
/// other callers do. Every function that writes what the inline hooks read has
/// [`OUR_FUNCTIONS`] in its name.
fn without_foreign_races(log: &str) -> (Vec<&str>, usize) {
    let (mut kept, mut races) = (Vec::new(), 0);
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.contains(RACE) || line.contains(OUR_FUNCTIONS) {
            kept.push(line);
            continue;
        }
        races += 1;
        while lines.next_if(|line| !line.contains(RACE_RULE)).is_some() {}
    }
    (kept, races)
}

/// Counts the data races that KCSAN reports outside go_sched.
pub(crate) fn foreign_races(log: &str) -> usize {
    without_foreign_races(log).1
}

/// Returns the first report in `log` with the lines after it, and the number of further
/// reports: these are often consequences of the first. Empty if there is no report.
pub(crate) fn complaints(log: &str) -> Vec<String> {
    let (lines, _) = without_foreign_races(log);
    let is_report = |line: &&str| REPORTS.iter().any(|report| line.contains(report));
    let Some(first) = lines.iter().position(is_report) else {
        return Vec::new();
    };
    let end = lines.len().min(first + REPORT_LINES);
    let mut complaints = vec![lines[first..end].join("\n")];
    let others = lines[end..].iter().filter(|line| is_report(line)).count();
    if others > 0 {
        complaints.push(format!("{others} more lines of the log report failures."));
    }
    complaints
}

/// Returns the last lines of `log`.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if tail.is_empty() {
        return "The kernel log is empty: the kernel did not start.".to_owned();
    }
    format!("The end of the kernel log:\n{}", tail.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::complaints;
    use super::foreign_races;

    fn race(function: &str) -> String {
        format!(
            "[ 1.0] ==================================\n\
             [ 1.0] BUG: KCSAN: data-race in {function} / idle_cpu\n\
             [ 1.0]\n\
             [ 1.0] write to 0xffff888003a6d7c0 of 8 bytes by task 17 on cpu 1:\n\
             [ 1.0]  {function}+0x1c/0x40\n\
             [ 1.0] Reported by Kernel Concurrency Sanitizer on:\n\
             [ 1.0] CPU: 1 UID: 0 PID: 17 Comm: go_sched_tortur Not tainted\n\
             [ 1.0] ==================================\n"
        )
    }

    #[test]
    fn a_data_race_without_us_is_counted_and_no_complaint() {
        let log = race("set_next_task_idle").repeat(2);
        assert_eq!(foreign_races(&log), 2);
        assert_eq!(complaints(&log), Vec::<String>::new());
    }

    #[test]
    fn a_data_race_in_an_interrupt_of_ours_is_not_ours() {
        let log = race("idle_cpu").replace(
            "[ 1.0] Reported",
            "[ 1.0]  asm_sysvec_apic_timer_interrupt+0x1a/0x20\n\
             [ 1.0]  go_sched_get_stats+0xfc/0x120\n\
             [ 1.0] Reported",
        );
        assert_eq!(foreign_races(&log), 1);
        assert_eq!(complaints(&log), Vec::<String>::new());
    }

    #[test]
    fn a_data_race_with_us_is_a_complaint() {
        let log = race("set_next_task_idle") + &race("go_sched_follow");
        assert_eq!(foreign_races(&log), 1);
        assert!(complaints(&log)[0].contains("data-race in go_sched_follow"));
    }

    #[test]
    fn an_ordinary_boot_is_no_complaint() {
        let log = "Lock dependency validator: Copyright (c) 2006 Red Hat\n\
                   kmemleak: Kernel memory leak detector initialized\n\
                   kasan: KernelAddressSanitizer initialized\n\
                   go_sched_class: loading out-of-tree module taints kernel.\n\
                   FAULT_INJECTION: forcing a failure.\n";
        assert_eq!(complaints(log), Vec::<String>::new());
    }

    #[test]
    fn a_report_is_shown_from_its_first_line_on() {
        let log = "[ 1.0] booted\n[ 2.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1\n[ 2.1] Call Trace:";
        assert_eq!(
            complaints(log),
            ["[ 2.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1\n[ 2.1] Call Trace:"]
        );
    }

    #[test]
    fn reports_far_from_the_first_are_counted() {
        let log = format!("BUG: first\n{}BUG: second\n", "padding\n".repeat(100));
        assert_eq!(
            complaints(&log)[1],
            "1 more lines of the log report failures."
        );
    }
}
