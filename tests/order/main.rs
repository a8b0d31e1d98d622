// SPDX-License-Identifier: GPL-2.0

//! Who gets the CPU before whom, and how much more of it.

mod boost;
mod neighbour;
mod shares;
