// SPDX-License-Identifier: GPL-2.0

//! Operations, which threads choose at random.

use fastrand::Rng;

use crate::context::Context;
use crate::report::Count;

/// An operation, and how often it was performed.
pub(crate) struct Operation {
    pub(crate) count: Count,
    /// Probability, relative to the weights of the other operations.
    weight: u32,
    run: fn(&Context, &mut Rng),
    /// Returns the reason if the guest cannot perform the operation.
    missing: fn(&Context) -> Option<String>,
}

impl Operation {
    pub(crate) const fn new(name: &'static str, weight: u32, run: fn(&Context, &mut Rng)) -> Self {
        Self {
            count: Count::new(name),
            weight,
            run,
            missing: |_| None,
        }
    }

    /// Makes the operation depend on a feature that the guest may lack.
    pub(crate) const fn needs(mut self, missing: fn(&Context) -> Option<String>) -> Self {
        self.missing = missing;
        self
    }

    pub(crate) fn missing(&self, context: &Context) -> Option<String> {
        (self.missing)(context)
    }

    pub(crate) fn run(&self, context: &Context, rng: &mut Rng) {
        (self.run)(context, rng);
        self.count.add();
    }
}

/// Chooses one of `operations`, by their weights.
pub(crate) fn choose<'a>(operations: &[&'a Operation], rng: &mut Rng) -> &'a Operation {
    let total: u32 = operations.iter().map(|operation| operation.weight).sum();
    let mut left = rng.u32(..total);
    for operation in operations {
        match left.checked_sub(operation.weight) {
            Some(rest) => left = rest,
            None => return operation,
        }
    }
    unreachable!("the number drawn is below the sum of the weights")
}
