// SPDX-License-Identifier: GPL-2.0

//! The hint page: mapping, binding, storing, and what a store does.

mod bind;
mod example;
mod follow;
mod late;
mod lifetime;
mod mapping;
mod memory;
mod order;
mod passed;
mod store;
