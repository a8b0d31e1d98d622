// SPDX-License-Identifier: GPL-2.0

//! What follows from what was measured. It is written into `report.json` for those who
//! read that, and made anew from the measurements whenever it is shown.

use anyhow::Result;
use serde::Serialize;

use crate::claims;
use crate::claims::Claim;
use crate::figures::Figures;
use crate::goals;
use crate::goals::Goal;
use crate::goals::Verdict;
use crate::headline;
use crate::headline::Headline;
use crate::report::Report;
use crate::service::Chapter;

/// Everything that is shown and was not measured as such.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) headlines: Vec<Headline>,
    pub(crate) goals: Vec<Goal>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) figures: Figures,
    pub(crate) service: Option<Chapter>,
}

impl Results {
    /// Of a report.
    pub(crate) fn of(report: &Report) -> Result<Self> {
        let figures = Figures::of(report);
        let service = Chapter::of(report)?;
        Ok(Self {
            headlines: headline::all(&figures, service.as_ref()),
            goals: goals::all(&figures, service.as_ref()),
            claims: claims::all(service.as_ref()),
            figures,
            service,
        })
    }

    /// How many goals have each verdict, as a sentence.
    pub(crate) fn tally(&self) -> String {
        let verdicts = [
            Verdict::Met,
            Verdict::Missed,
            Verdict::Undecided,
            Verdict::NotMeasured,
        ];
        let counts = verdicts.iter().filter_map(|verdict| {
            let of = |goal: &&Goal| goal.verdict == *verdict;
            let count = self.goals.iter().filter(of).count();
            (count > 0).then(|| format!("{count} {}", verdict.words()))
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}
