// SPDX-License-Identifier: GPL-2.0

//! The lines above the table.

use std::collections::BTreeMap;

use super::sample::Row;
use super::sample::Sample;
use crate::check::limits::SchedExt;
use crate::output::printable;

/// Returns the lines above the table, on what concerns more than one thread.
pub(super) fn summary(sample: &Sample) -> Vec<String> {
    let managed = |row: &&Row| row.facts.status.prio.is_some();
    let sched_ext = match &sample.sched_ext {
        Ok(None) => "not in this kernel",
        Ok(Some(SchedExt::Off)) => "off",
        Ok(Some(SchedExt::Partial)) => "on, for SCHED_EXT threads alone",
        Ok(Some(SchedExt::Full)) => "ON FOR ALL THREADS: no priority counts",
        Err(_) => "unknown",
    };
    let autogroup = match &sample.autogroup {
        Ok(true) => "on: 0..47 are ordered within a session",
        Ok(false) => "off",
        Err(_) => "unknown",
    };
    let mut lines = vec![format!(
        "{} threads, {} with a Go priority; sched_ext {sched_ext}; autogroup {autogroup}",
        sample.rows.len(),
        sample.rows.iter().filter(managed).count(),
    )];
    lines.extend(sample.unknown().iter().map(|line| printable(line)));

    let quotas: BTreeMap<_, _> = sample
        .rows
        .iter()
        .filter_map(|row| {
            let quota = row.quota.as_ref().ok()?.as_ref()?;
            Some((&quota.group, (quota, row.throttled)))
        })
        .collect();
    for (group, (quota, throttled)) in quotas {
        lines.push(format!(
            "{}: {} allows {:.0}% of one CPU; throttled {} times, {throttled} of them just now",
            printable(&group.to_string_lossy()),
            quota.file,
            quota.cpus * 100.0,
            quota.throttled,
        ));
    }
    let dark = |row: &&Row| row.quota.is_err();
    if let Some(Err(error)) = sample.rows.iter().find(dark).map(|row| &row.quota) {
        let count = sample.rows.iter().filter(dark).count();
        let line = format!("the quotas of {count} threads are unknown: {error}");
        lines.push(printable(&line));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::io;

    use gosched::cgroup::Quota;
    use gosched::error::FindError;

    use super::*;
    use crate::top::fixture;
    use crate::top::sample::Unread;

    #[test]
    fn the_summary_tells_each_limit_once() {
        let mut rows = vec![fixture::row(1, Some(8)), fixture::row(2, None)];
        for row in &mut rows {
            row.quota = Ok(Some(Quota {
                group: "/sys/fs/cgroup/\tbatch".into(),
                file: "cpu.max",
                lifted: "max",
                cpus: 0.2,
                throttled: 7,
            }));
            row.throttled = 3;
        }
        assert_eq!(
            summary(&fixture::sample(rows)),
            [
                "2 threads, 1 with a Go priority; sched_ext off; autogroup off",
                "/sys/fs/cgroup/?batch: cpu.max allows 20% of one CPU; throttled 7 times, 3 of them just now",
            ]
        );
    }

    #[test]
    fn a_scheduler_that_has_taken_over_is_told_loudly() {
        let mut sample = fixture::sample(vec![]);
        sample.sched_ext = Ok(Some(SchedExt::Full));
        assert!(summary(&sample)[0].contains("ON FOR ALL THREADS"));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_the_reason() {
        let error = || io::Error::other("it is\u{1b} dark");
        let mut rows = vec![fixture::row(1, Some(8)), fixture::row(2, None)];
        for row in &mut rows {
            row.quota = Err(error());
        }
        let mut sample = fixture::sample(rows);
        sample.sched_ext = Err(error());
        sample.autogroup = Err(error());
        sample.unread = Unread {
            count: 3,
            reason: Some(FindError::Hidden.into()),
        };
        assert_eq!(
            summary(&sample),
            [
                "2 threads, 1 with a Go priority; sched_ext unknown; autogroup unknown",
                "sched_ext is unknown: it is? dark",
                "autogroup is unknown: it is? dark",
                &format!(
                    "3 processes or threads are not shown: {}",
                    FindError::Hidden
                ),
                "the quotas of 2 threads are unknown: it is? dark",
            ]
        );
        #[cfg(feature = "observe")]
        {
            sample.goroutines_unknown = Some("goroutines are dark\u{1b}".to_owned());
            assert_eq!(summary(&sample)[4], "goroutines are dark?");
        }
        sample.unread.count = 0;
        let some = format!(
            "some processes or threads are not shown: {}",
            FindError::Hidden
        );
        assert!(summary(&sample).contains(&some));
    }
}
