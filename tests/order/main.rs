// SPDX-License-Identifier: GPL-2.0

//! Who gets the CPU before whom, and how much more of it.

mod boost;
mod idle;
mod kernel_work;
mod neighbour;
mod shares;
