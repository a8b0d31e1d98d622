// SPDX-License-Identifier: GPL-2.0

//! Results of checks.

use schemars::JsonSchema;
use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// The check has passed.
    Ok,
    /// Priorities can be set, with a limit worth knowing.
    Warn,
    /// The check could not be made, as something cannot be read.
    Unknown,
    /// No priority can be set until this is put right.
    Fail,
    /// The check takes something that an earlier failure has shown to be missing.
    Skip,
}

impl Verdict {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Unknown => "?",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        }
    }
}

/// A check, its result and what to do.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// Name of the check.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// The finding, as a sentence.
    pub(super) detail: String,
    /// The next thing to do, null if there is none.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            detail: detail.into(),
            advice: None,
        }
    }

    pub(super) fn warn(
        check: &'static str,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Warn,
            advice: Some(advice.into()),
            ..Self::ok(check, detail)
        }
    }

    pub(super) fn unknown(
        check: &'static str,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Unknown,
            ..Self::warn(check, detail, advice)
        }
    }

    pub(super) fn fail(
        check: &'static str,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(check, detail, advice)
        }
    }

    pub(super) fn skip(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skip,
            ..Self::ok(check, detail)
        }
    }
}
