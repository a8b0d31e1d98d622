// SPDX-License-Identifier: GPL-2.0

//! The verbs that show what the scheduler does with a program: `record`, `timeline` and
//! `why`.

pub(crate) mod record;
pub(crate) mod timeline;
pub(crate) mod why;
