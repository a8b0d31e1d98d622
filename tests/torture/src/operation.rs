// SPDX-License-Identifier: GPL-2.0

//! What a thread can be told to do at random.

use fastrand::Rng;

use crate::report::Count;
use crate::world::World;

/// One thing to do.
pub(crate) struct Operation {
    pub(crate) count: Count,
    /// How likely it is, compared with the others.
    weight: u32,
    run: fn(&World, &mut Rng),
    /// Why it cannot be done here, if that is so.
    missing: fn(&World) -> Option<String>,
}

impl Operation {
    pub(crate) const fn new(name: &'static str, weight: u32, run: fn(&World, &mut Rng)) -> Self {
        Self {
            count: Count::new(name),
            weight,
            run,
            missing: |_| None,
        }
    }

    /// Makes the operation depend on something that the guest may lack.
    pub(crate) const fn needs(mut self, missing: fn(&World) -> Option<String>) -> Self {
        self.missing = missing;
        self
    }

    pub(crate) fn missing(&self, world: &World) -> Option<String> {
        (self.missing)(world)
    }

    pub(crate) fn run(&self, world: &World, rng: &mut Rng) {
        (self.run)(world, rng);
        self.count.add();
    }
}

/// Chooses one of `operations` by their weights.
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
