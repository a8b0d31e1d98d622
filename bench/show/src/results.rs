// SPDX-License-Identifier: GPL-2.0

//! The values derived from the measurements of a report.

use anyhow::Result;

use crate::figures::Figures;
use crate::goals;
use crate::goals::Goal;
use crate::report::Part;
use crate::report::Report;
use crate::service::ServiceResults;

/// The values derived from the measurements of a report.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) figures: Figures,
    pub(crate) service: Option<ServiceResults>,
    /// Those of the server on one CPU.
    pub(crate) one_cpu: Option<ServiceResults>,
    pub(crate) goals: Vec<Goal>,
}

impl Results {
    /// Computes everything. Fails if a histogram cannot be read.
    pub(crate) fn of(report: &Report) -> Result<Self> {
        let figures = Figures::of(report);
        let service = ServiceResults::of(report, Part::Service)?;
        let one_cpu = ServiceResults::of(report, Part::ServiceOneCpu)?;
        Ok(Self {
            goals: goals::all(&figures, service.as_ref(), one_cpu.as_ref()),
            figures,
            service,
            one_cpu,
        })
    }
}
