// SPDX-License-Identifier: GPL-2.0

//! Things that all tests of the command share.

use std::time::Duration;

/// The time that a program may take before the test ends it, and fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);
