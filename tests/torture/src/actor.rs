// SPDX-License-Identifier: GPL-2.0

//! Actors: threads that do one thing after the other, chosen at random.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::DEADLINE;
use fastrand::Rng;

use crate::operation::choose;
use crate::operation::Operation;
use crate::world::World;

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Actor {
    /// What it does at this moment, and since when.
    doing: Mutex<Option<(&'static str, Instant)>>,
}

impl Actor {
    /// Acts until the end: everything once, however long that takes, and then at random.
    pub(crate) fn act(&self, world: &World, operations: &[&'static Operation], seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut first = operations.to_vec();
        rng.shuffle(&mut first);
        while !(first.is_empty() && world.is_over()) {
            let operation = first.pop().unwrap_or_else(|| choose(operations, &mut rng));
            self.now(Some((operation.count.name, Instant::now())));
            operation.run(world, &mut rng);
            self.now(None);
            thread::sleep(Duration::from_micros(rng.u64(..500)));
        }
    }

    /// What the actor has been at for so long that something must hang.
    pub(crate) fn hangs_in(&self) -> Option<&'static str> {
        let doing = self.doing.lock().ok()?;
        doing
            .filter(|(_, since)| since.elapsed() > 2 * DEADLINE)
            .map(|(name, _)| name)
    }

    fn now(&self, doing: Option<(&'static str, Instant)>) {
        *self.doing.lock().expect("its users do not panic") = doing;
    }
}
