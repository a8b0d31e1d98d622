// SPDX-License-Identifier: MIT OR GPL-2.0

//! Traces, of Go and made up, as a reader returns them.

mod build;
mod cut;
mod fixture;
mod hostile;
mod official;
mod order;
mod version;
