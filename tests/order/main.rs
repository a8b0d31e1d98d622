// SPDX-License-Identifier: GPL-2.0

//! The order in which threads get the CPU, and their shares of it.

mod boost;
mod neighbour;
mod shares;
