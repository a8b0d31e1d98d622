// SPDX-License-Identifier: GPL-2.0

//! What took more of a program's time than usual.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use super::account::Account;
use super::account::Activity;
use super::account::Curves;
use super::parts::Curve;
use super::Obstacle;

/// A cause takes at least this part of a cluster's time more than usual.
const WORTH: u64 = 4;
/// A cause takes at least so many times the usual.
const UNUSUAL: u64 = 2;
/// A cause is compared with as much time as the cluster has, at so many places without outliers.
const PLACES: u64 = 200;
/// A cause takes as much time at no more than so many of these places: more would be chance.
const MOST_ALIKE: usize = 2;

impl Obstacle {
    /// Returns whether the trace of Go's runtime tells of this.
    fn is_of_goroutines(&self) -> bool {
        match self {
            Self::StoppedWorld | Self::NoP | Self::MarkAssist | Self::Lock => true,
            Self::NoCpu | Self::Quota | Self::Asleep(_) => false,
        }
    }

    /// Returns how close to the root of a spike this is, the lowest first: who has no CPU keeps
    /// others waiting, too.
    fn rank(&self) -> u8 {
        match self {
            Self::NoCpu | Self::Quota => 0,
            Self::StoppedWorld => 1,
            Self::NoP | Self::MarkAssist => 2,
            Self::Asleep(_) | Self::Lock => 3,
        }
    }
}

/// A cluster's time beside that without outliers.
#[derive(Clone, Copy)]
pub(super) struct Comparison<'a> {
    pub(super) spike: &'a Account,
    pub(super) usual: &'a Account,
    pub(super) elsewhere: &'a Curves,
}

/// Returns the part of one length that is as large as a part of another one.
fn scaled(part: u64, to: u64, of: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(to) / u128::from(of).max(1);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Returns where one of many places is. The places are spread evenly, without a period: disturbances
/// could have the same one.
fn place(number: u64, room: u64) -> u64 {
    // 2^64 by the golden ratio.
    let part = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(part) * u128::from(room)) >> 64) as u64
}

impl Comparison<'_> {
    /// Returns a part of the time without outliers, as of as much time as the cluster has.
    pub(super) fn scaled(&self, usual: u64) -> u64 {
        scaled(usual, self.spike.length, self.usual.length)
    }

    /// Returns how long an obstacle usually takes in as much time as the cluster has; `None` if
    /// too little is known of goroutines.
    fn usual(&self, what: &Obstacle) -> Option<u64> {
        let usual = self.usual.obstacles.get(what).copied().unwrap_or_default();
        if !what.is_of_goroutines() {
            return Some(self.scaled(usual));
        }
        let (spike, all) = (self.spike.traced, self.usual.traced);
        (all >= spike).then(|| scaled(usual, spike, all))
    }

    /// Returns by how much something takes more time than usual, if that is a good part of the
    /// cluster's time.
    fn excess(&self, took: u64, usual: u64) -> Option<u64> {
        let excess = took.saturating_sub(usual);
        (excess > 0 && excess >= self.spike.length / WORTH).then_some(excess)
    }

    /// Returns the same, if it also takes a multiple of the usual.
    pub(super) fn unusual(&self, took: u64, usual: u64) -> Option<u64> {
        let excess = self.excess(took, usual)?;
        (took >= usual.saturating_mul(UNUSUAL)).then_some(excess)
    }

    /// Returns whether hardly any other place of the record has an activity for as long.
    fn stands_out(&self, activity: &Activity, took: u64) -> bool {
        let Some(curve) = self.elsewhere.of(activity) else {
            return true;
        };
        let traced = self.elsewhere.of(&Activity::Traced);
        let (length, (from, to)) = match activity {
            Activity::Kept(what) if what.is_of_goroutines() => {
                (self.spike.traced, traced.map_or((0, 0), Curve::ends))
            }
            _ => (self.spike.length, (0, self.usual.length)),
        };
        let room = (to - from).saturating_sub(length);
        let alike = (0..PLACES).filter(|number| {
            let at = from + place(*number, room);
            curve.between(at, at + length) >= took
        });
        alike.take(MOST_ALIKE + 1).count() <= MOST_ALIKE
    }

    /// Returns what takes more time than usual, with that time, the usual one, and the excess. Where
    /// threads wait for a CPU all the time, a competitor that had it may be unusual by itself.
    fn candidates(
        &self,
        competitor: Option<(u64, u64)>,
    ) -> impl Iterator<Item = (&Obstacle, u64, u64, u64)> {
        let obstacles = self.spike.obstacles.iter();
        obstacles.filter_map(move |(what, took)| {
            let usual = self.usual(what)?;
            let competitor = competitor.filter(|_| *what == Obstacle::NoCpu);
            let by_itself = competitor.and_then(|(took, usual)| self.unusual(took, usual));
            let excess = match by_itself {
                Some(_) => self.excess(*took, usual)?,
                None => self.unusual(*took, usual)?,
            };
            Some((what, *took, usual, excess))
        })
    }

    /// Returns the candidate that is nearest to the root, and of those the one with the largest
    /// excess, with the time that it takes, and the usual one. Else returns what is known.
    pub(super) fn cause(
        &self,
        competitor: Option<(u64, u64)>,
    ) -> Result<(&Obstacle, u64, u64), String> {
        let stands_out = |what: &Obstacle, took| {
            let activity = Activity::Kept(what.clone());
            self.stands_out(&activity, took)
        };
        let causes = self
            .candidates(competitor)
            .filter(|(what, took, _, _)| stands_out(what, *took));
        let cause = causes.min_by_key(|(what, _, _, excess)| (what.rank(), Reverse(*excess)));
        match cause {
            Some((what, took, usual, _)) => Ok((what, took, usual)),
            None if self.candidates(competitor).next().is_some() => Err(
                "no cause stands out: the program was kept as much at times without outliers"
                    .to_owned(),
            ),
            None => Err(self.remark()),
        }
    }

    /// Says what is known of a spike without a cause.
    fn remark(&self) -> String {
        let ran = self.scaled(self.usual.ran);
        let computes = self.unusual(self.spike.ran, ran).is_some();
        if computes && self.stands_out(&Activity::Ran, self.spike.ran) {
            return "the program ran more than usual: it computed".to_owned();
        }
        let slept = self.spike.idle.iter().filter_map(|(call, took)| {
            let usual = self.usual.idle.get(call).copied();
            let usual = self.scaled(usual.unwrap_or_default());
            let excess = self.unusual(*took, usual)?;
            let stands_out = self.stands_out(&Activity::Idle(call.clone()), *took);
            stands_out.then_some((call, excess))
        });
        let mut obstacles = self.spike.obstacles.keys();
        if obstacles.any(|what| self.usual(what).is_none()) {
            return "the trace of Go's runtime has too little time without outliers to compare with"
                .to_owned();
        }
        match slept.max_by_key(|(_, excess)| *excess) {
            Some((call, _)) => format!(
                "the program slept more than usual, in {call}: for a lock, for another program, or \
                 as it had nothing to do"
            ),
            None => "no cause stands out: nothing kept the program more than usual".to_owned(),
        }
    }
}
