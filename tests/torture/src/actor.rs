// SPDX-License-Identifier: GPL-2.0

//! Actors: threads that perform one random operation after the other.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::DEADLINE;
use fastrand::Rng;

use crate::context::Context;
use crate::operation::choose;
use crate::operation::Operation;

/// Progress of one actor.
#[derive(Debug, Default)]
pub(crate) struct Actor {
    /// Name of the operation in progress, and its start.
    current: Mutex<Option<(&'static str, Instant)>>,
}

impl Actor {
    /// Performs each operation once, and then random ones until the end.
    pub(crate) fn run(&self, context: &Context, operations: &[&'static Operation], seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut first = operations.to_vec();
        rng.shuffle(&mut first);
        while !(first.is_empty() && context.is_over()) {
            let operation = first.pop().unwrap_or_else(|| choose(operations, &mut rng));
            self.set_current(Some((operation.count.name, Instant::now())));
            operation.run(context, &mut rng);
            self.set_current(None);
            thread::sleep(Duration::from_micros(rng.u64(..500)));
        }
    }

    /// Returns the name of an operation that has taken more than two deadlines.
    pub(crate) fn hung_operation(&self) -> Option<&'static str> {
        let current = self.current.lock().ok()?;
        current
            .filter(|(_, since)| since.elapsed() > 2 * DEADLINE)
            .map(|(name, _)| name)
    }

    fn set_current(&self, current: Option<(&'static str, Instant)>) {
        *self.current.lock().expect("its users do not panic") = current;
    }
}
