// SPDX-License-Identifier: GPL-2.0

//! Shades of cells by the logarithm of how many delays are in a cell.

/// A logarithmic scale of shades, from 1, for one delay, to a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shades {
    /// How many times as many delays the next shade takes; at least 2.
    base: u64,
    shades: u32,
    fullest: u64,
}

impl Shades {
    /// Returns a scale for cells of up to `fullest` delays.
    pub(super) fn new(fullest: u64, shades: u32) -> Self {
        let reaches = |base: &u64| base.checked_pow(shades).is_none_or(|end| end > fullest);
        Self {
            base: (2..).find(reaches).unwrap_or(u64::MAX),
            shades,
            fullest,
        }
    }

    /// Returns the shade of a cell; 0: there is no delay.
    pub(super) fn of(self, delays: u64) -> usize {
        let shade = delays.checked_ilog(self.base).map_or(0, |power| power + 1);
        shade.min(self.shades) as usize
    }

    /// Returns the shades that cells have, each with its numbers of delays in words.
    pub(super) fn legend(self) -> impl Iterator<Item = (usize, String)> {
        let powers = (0..self.shades).map_while(move |power| self.base.checked_pow(power));
        let used = powers.take_while(move |least| *least <= self.fullest);
        used.enumerate().map(move |(index, least)| {
            let most = least.saturating_mul(self.base) - 1;
            let words = match most.min(self.fullest) {
                most if most == least => least.to_string(),
                most => format!("{least}-{most}"),
            };
            (index + 1, words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend(fullest: u64) -> Vec<String> {
        let legend = Shades::new(fullest, 4).legend();
        legend.map(|(_, words)| words).collect()
    }

    #[test]
    fn the_legend_ends_with_the_fullest_cell() {
        assert_eq!(legend(0), [""; 0]);
        assert_eq!(legend(1), ["1"]);
        assert_eq!(legend(10), ["1", "2-3", "4-7", "8-10"]);
        assert_eq!(legend(200), ["1-3", "4-15", "16-63", "64-200"]);
        assert_eq!(legend(u64::MAX).len(), 4);
    }

    #[test]
    fn the_shade_of_a_cell_is_that_of_the_legend() {
        for fullest in [1, 3, 10, 15, 16, 200, 12_345, u64::MAX] {
            let shades = Shades::new(fullest, 4);
            for (shade, words) in shades.legend() {
                let (least, most) = words.split_once('-').unwrap_or((&words, &words));
                for delays in [least, most] {
                    let delays = delays.parse().expect("a number");
                    assert_eq!(shades.of(delays), shade, "{fullest}: {words}");
                }
            }
            assert_eq!(shades.of(0), 0);
        }
    }
}
