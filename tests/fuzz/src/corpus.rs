// SPDX-License-Identifier: GPL-2.0

//! Corpus: the inputs that reached new code, and the generation of new inputs from them.

use std::collections::HashSet;

use fastrand::Rng;

/// Lengths of inputs that are generated from nothing, in bytes.
const FRESH_LENGTHS: std::ops::Range<usize> = 64..1024;

/// Inputs that reached new code, and the code reached so far.
pub(crate) struct Corpus {
    rng: Rng,
    inputs: Vec<Vec<u8>>,
    reached: HashSet<u64>,
}

impl Corpus {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            inputs: Vec::new(),
            reached: HashSet::new(),
        }
    }

    /// Generates an input.
    pub(crate) fn generate(&mut self) -> Vec<u8> {
        // One in four is generated from nothing: mutation alone stays near the first inputs.
        let mut input = match self.rng.u8(..4) {
            0 => None,
            _ => self.rng.choice(&self.inputs).cloned(),
        };
        if let Some(input) = &mut input {
            for _ in 0..self.rng.u8(1..6) {
                self.mutate(input);
            }
        }
        input.unwrap_or_else(|| {
            let length = self.rng.usize(FRESH_LENGTHS);
            self.bytes(length)
        })
    }

    /// Adds `input` to the corpus if no input before it has reached one of `addresses`.
    pub(crate) fn add_if_new(&mut self, input: Vec<u8>, addresses: impl IntoIterator<Item = u64>) {
        let known = self.reached.len();
        self.reached.extend(addresses);
        if self.reached.len() > known {
            self.inputs.push(input);
        }
    }

    /// Returns the number of inputs in the corpus.
    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Returns the addresses of the code that was reached.
    pub(crate) fn reached(&self) -> &HashSet<u64> {
        &self.reached
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.fill(&mut bytes);
        bytes
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.usize(..=input.len());
        let end = self.rng.usize(at..=input.len().min(at + 32));
        match self.rng.u8(..5) {
            0 => {
                let length = self.rng.usize(1..32);
                let new = self.bytes(length);
                input.splice(at..at, new);
            }
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let other = self.rng.choice(&self.inputs).cloned().unwrap_or_default();
                input.truncate(at);
                input.extend_from_slice(&other[self.rng.usize(..=other.len())..]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.rng.u8(..8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Corpus;

    #[test]
    fn an_input_is_kept_if_it_reaches_something_new() {
        let mut corpus = Corpus::new(0);
        corpus.add_if_new(vec![1], [10, 11]);
        corpus.add_if_new(vec![2], [11]);
        corpus.add_if_new(vec![3], [11, 12]);
        assert_eq!(corpus.inputs, [vec![1], vec![3]]);
        assert_eq!(corpus.reached().len(), 3);
    }

    #[test]
    fn a_seed_gives_the_same_inputs_again() {
        let generate = || {
            let mut corpus = Corpus::new(7);
            corpus.add_if_new(vec![0; 100], [1]);
            corpus.add_if_new(vec![1; 100], [2]);
            [(); 1000].map(|()| corpus.generate())
        };
        assert_eq!(generate(), generate());
    }
}
