// SPDX-License-Identifier: MIT OR GPL-2.0

//! The mapping from a Go priority, 0 to 63 and higher = more urgent, to the
//! scheduling parameters of Linux.
//!
//! The kernel module includes this file as a module, the tools depend on it as
//! the crate `go-sched-policy`: one source, so that what `gosched map` prints is
//! what the kernel does. This file therefore uses `core` alone, no feature of a crate
//! root, and no `crate::` path.
//!
//! | Go priority | policy        | ordered inside the band by                     |
//! |-------------|---------------|------------------------------------------------|
//! | 0 to 15     | `SCHED_IDLE`  | load weight, all below that of nice 19         |
//! | 16 to 47    | `SCHED_OTHER` | nice 16 to -15, and a slice falling with it    |
//! | 48 to 63    | `SCHED_RR`    | real-time priority 1 to 16, strictly           |
//!
//! [`TABLE`] is computed and proved while compiling: a table in which some
//! priority is not more urgent than the one below it does not build.

/// The number of Go priorities; `GO_SCHED_LEVELS` of the ABI.
pub const LEVELS: u32 = 64;

/// Version of the mapping, raised when a priority comes to mean something else.
pub const VERSION: u32 = 1;

/// The lowest priority of [`Band::Fair`].
const FAIR_FIRST: u32 = 16;

/// The priority of an ordinary thread: nice 0.
pub const ORDINARY: u32 = 32;

/// Nice value of the idle band. The weight orders that band, but the kernel
/// preempts on a change of policy only where the nice value changes with it.
const NICE_IDLE: i32 = 19;

/// The lowest priority of [`Band::Rt`].
const RT_FIRST: u32 = 48;

/// `SCHED_FIXEDPOINT_SHIFT` of the kernel: a scaled load weight is the one of
/// `sched_prio_to_weight[]` shifted by it, which makes nice 0 `1024 << 10`.
const WEIGHT_SHIFT: u32 = 10;

/// Weight of priority 0: `avg_vruntime()` in kernel/sched/fair.c counts a
/// smaller one as this, so a lighter thread would pull the average off.
const WEIGHT_FIRST: u32 = 2 << WEIGHT_SHIFT;

/// Weight of nice 19, which the whole idle band stays below.
const WEIGHT_NICE_19: u32 = 15 << WEIGHT_SHIFT;

/// Growth of the weight by idle level, in thousandths: spreads the sixteen
/// levels evenly, as ratios, from [`WEIGHT_FIRST`] to just below
/// [`WEIGHT_NICE_19`].
const WEIGHT_STEP: u32 = 1141;

/// Slice of the lowest fair priority, in nanoseconds.
const SLICE_FIRST_NS: u64 = 30_000_000;

/// Fall of the slice by fair level, in thousandths: to a tenth in sixteen
/// levels, which gives nice 0 3 ms, near the default of 2.8 ms on eight
/// CPUs and more (`sysctl_sched_base_slice`).
const SLICE_STEP: u64 = 866;

/// The slices `sched_setattr(2)` accepts, in nanoseconds; it clamps others.
const SLICE_MIN_NS: u64 = 100_000;
const SLICE_MAX_NS: u64 = 100_000_000;

/// The largest real-time priority in use: all above it, up to 99, stays with
/// the operator and the kernel's own threads (50 and up).
const RT_PRIORITY_MAX: u32 = 16;

/// A Go priority: 0 to 63, higher = more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoPrio(u8);

impl GoPrio {
    /// The least urgent priority, 0.
    pub const MIN: Self = Self(0);

    /// The most urgent priority, 63.
    pub const MAX: Self = Self(LEVELS as u8 - 1);

    /// Returns the priority `value`, or nothing when it is above 63.
    ///
    /// # Examples
    ///
    /// ```
    /// use go_sched_policy::GoPrio;
    ///
    /// assert_eq!(GoPrio::new(63), Some(GoPrio::MAX));
    /// assert_eq!(GoPrio::new(64), None);
    /// ```
    pub const fn new(value: u32) -> Option<Self> {
        if value < LEVELS {
            Some(Self(value as u8))
        } else {
            None
        }
    }

    /// Returns the number, 0 to 63.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// Returns the band the priority lies in.
    pub const fn band(self) -> Band {
        match self.get() {
            ..FAIR_FIRST => Band::Idle,
            FAIR_FIRST..RT_FIRST => Band::Fair,
            RT_FIRST.. => Band::Rt,
        }
    }

    /// Returns all priorities, the least urgent one first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LEVELS as u8).map(Self)
    }
}

/// The three ranges of Go priorities, in rising urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Priorities 0 to 15: threads run where nothing else wants to.
    Idle,
    /// Priorities 16 to 47: threads share the CPU by weight.
    Fair,
    /// Priorities 48 to 63: threads run before all of the fair band.
    Rt,
}

impl Band {
    /// Returns the name of the band: `idle`, `fair` or `rt`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Fair => "fair",
            Self::Rt => "rt",
        }
    }
}

/// The scheduling policies in use, by the `SCHED_*` number of
/// include/uapi/linux/sched.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Policy {
    /// `SCHED_NORMAL`, which sched(7) calls `SCHED_OTHER`.
    Normal = 0,
    /// `SCHED_RR`.
    RoundRobin = 2,
    /// `SCHED_IDLE`.
    Idle = 5,
}

impl Policy {
    /// Returns the `SCHED_*` number.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// The scheduling parameters of one Go priority.
///
/// The fields are those of `struct sched_attr`, see `sched_setattr(2)`, and the
/// weight, which no other interface offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level {
    /// The scheduling policy.
    pub policy: Policy,
    /// Nice value: -15 to 16 in the fair band, 19 in the idle band, 0 in the
    /// rt band.
    pub nice: i32,
    /// Real-time priority, 1 to 16; 0 outside the rt band.
    pub rt_priority: u32,
    /// EEVDF slice in nanoseconds, 0.1 to 100 ms; 0, the kernel's default,
    /// outside the fair band.
    pub slice_ns: u64,
    /// Load weight in the kernel's scaled unit, in which nice 0 is
    /// `1024 << 10` and nice 19 `15 << 10`; 0, the kernel's own for that
    /// nice value, outside the idle band.
    pub weight: u32,
}

/// The parameters of all Go priorities, by priority.
pub static TABLE: [Level; LEVELS as usize] = table();

/// FNV-1a (64 bits) of [`TABLE`]: of policy, nice value, real-time priority, slice
/// and weight of each priority in turn, as little-endian 64-bit numbers. Tells
/// whether two builds mean the same.
pub const HASH: u64 = hash(&table());

const _: () = assert!(
    is_sound(&TABLE),
    "each Go priority must be in range and above the last"
);

/// Returns the scheduling parameters of a Go priority.
///
/// # Examples
///
/// ```
/// use go_sched_policy::{level, GoPrio, Policy};
///
/// let ordinary = GoPrio::new(32).expect("32 is below 64");
/// assert_eq!(level(ordinary).policy, Policy::Normal);
/// assert_eq!(level(ordinary).nice, 0);
/// assert_eq!(level(GoPrio::MAX).rt_priority, 16);
/// ```
pub fn level(prio: GoPrio) -> &'static Level {
    &TABLE[prio.0 as usize]
}

const fn table() -> [Level; LEVELS as usize] {
    let mut table = [Level {
        policy: Policy::Idle,
        nice: 0,
        rt_priority: 0,
        slice_ns: 0,
        weight: 0,
    }; LEVELS as usize];
    let mut weight = WEIGHT_FIRST;
    let mut slice_ns = SLICE_FIRST_NS;
    let mut prio = GoPrio::MIN;

    loop {
        let level = &mut table[prio.0 as usize];
        match prio.band() {
            Band::Idle => {
                level.nice = NICE_IDLE;
                level.weight = weight;
                weight = weight * WEIGHT_STEP / 1000;
            }
            Band::Fair => {
                level.policy = Policy::Normal;
                level.nice = ORDINARY as i32 - prio.get() as i32;
                level.slice_ns = slice_ns;
                slice_ns = slice_ns * SLICE_STEP / 1000;
            }
            Band::Rt => {
                level.policy = Policy::RoundRobin;
                level.rt_priority = prio.get() - RT_FIRST + 1;
            }
        }
        prio = match GoPrio::new(prio.get() + 1) {
            Some(next) => next,
            None => return table,
        };
    }
}

const fn hash(table: &[Level; LEVELS as usize]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    let mut hash = OFFSET_BASIS;
    let mut i = 0;
    while i < table.len() {
        let level = &table[i];
        let numbers = [
            level.policy.number() as u64,
            level.nice as u64,
            level.rt_priority as u64,
            level.slice_ns,
            level.weight as u64,
        ];
        let mut byte = 0;
        while byte < numbers.len() * 8 {
            hash ^= numbers[byte / 8] >> (byte % 8 * 8) & 0xff;
            hash = hash.wrapping_mul(PRIME);
            byte += 1;
        }
        i += 1;
    }
    hash
}

const fn is_sound(table: &[Level; LEVELS as usize]) -> bool {
    let mut i = 0;
    while i < table.len() {
        if !is_in_range(&table[i]) || (i > 0 && !is_less_urgent(&table[i - 1], &table[i])) {
            return false;
        }
        i += 1;
    }
    true
}

const fn is_in_range(level: &Level) -> bool {
    let Level {
        policy,
        nice,
        rt_priority,
        slice_ns,
        weight,
    } = *level;

    match policy {
        Policy::Idle => {
            weight >= WEIGHT_FIRST
                && weight < WEIGHT_NICE_19
                && nice == NICE_IDLE
                && rt_priority == 0
                && slice_ns == 0
        }
        Policy::Normal => {
            nice >= -20
                && nice <= 19
                && slice_ns >= SLICE_MIN_NS
                && slice_ns <= SLICE_MAX_NS
                && rt_priority == 0
                && weight == 0
        }
        Policy::RoundRobin => {
            rt_priority >= 1
                && rt_priority <= RT_PRIORITY_MAX
                && nice == 0
                && slice_ns == 0
                && weight == 0
        }
    }
}

/// Returns whether the kernel prefers `upper` to `lower`, for two levels in range.
const fn is_less_urgent(lower: &Level, upper: &Level) -> bool {
    match (lower.policy, upper.policy) {
        (Policy::Idle, Policy::Idle) => lower.weight < upper.weight,
        (Policy::Normal, Policy::Normal) => {
            lower.nice > upper.nice && lower.slice_ns > upper.slice_ns
        }
        (Policy::RoundRobin, Policy::RoundRobin) => lower.rt_priority < upper.rt_priority,
        (Policy::Idle, Policy::Normal | Policy::RoundRobin)
        | (Policy::Normal, Policy::RoundRobin) => true,
        (Policy::Normal, Policy::Idle) | (Policy::RoundRobin, Policy::Idle | Policy::Normal) => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(prio: u32) -> Level {
        *level(GoPrio::new(prio).expect("priority in range"))
    }

    #[test]
    fn a_priority_is_0_to_63() {
        assert_eq!(GoPrio::new(0), Some(GoPrio::MIN));
        assert_eq!(GoPrio::new(63), Some(GoPrio::MAX));
        assert_eq!(GoPrio::new(64), None);
        assert_eq!(GoPrio::new(256), None);
        assert_eq!(GoPrio::new(u32::MAX), None);
    }

    #[test]
    fn all_priorities_are_listed_once_and_rising() {
        assert!(GoPrio::all().map(GoPrio::get).eq(0..LEVELS));
    }

    #[test]
    fn bands_change_at_16_and_48() {
        let bands: Vec<_> = GoPrio::all().map(GoPrio::band).collect();
        assert!(bands[..16].iter().all(|band| *band == Band::Idle));
        assert!(bands[16..48].iter().all(|band| *band == Band::Fair));
        assert!(bands[48..].iter().all(|band| *band == Band::Rt));
    }

    #[test]
    fn policies_have_the_numbers_of_the_kernel() {
        assert_eq!(at(0).policy.number(), 5);
        assert_eq!(at(32).policy.number(), 0);
        assert_eq!(at(63).policy.number(), 2);
    }

    #[test]
    fn idle_band_is_ordered_by_weight_below_nice_19() {
        let idle = &TABLE[..16];
        assert!(idle.iter().all(|level| level.policy == Policy::Idle));
        assert!(idle.is_sorted_by(|a, b| a.weight < b.weight));
        assert_eq!(idle[0].weight, 2 * 1024);
        assert!(idle[15].weight < 15 * 1024);
    }

    #[test]
    fn fair_band_is_nice_16_to_minus_15_with_32_at_nice_0() {
        assert_eq!(at(16).nice, 16);
        assert_eq!(at(32).nice, 0);
        assert_eq!(at(47).nice, -15);
        assert!((16..48).all(|prio| at(prio).nice == 32 - prio as i32));
    }

    #[test]
    fn fair_slices_fall_from_30_ms_over_3_ms_at_nice_0() {
        assert_eq!(at(16).slice_ns, 30_000_000);
        assert!((2_900_000..3_100_000).contains(&at(32).slice_ns));
        assert!((300_000..400_000).contains(&at(47).slice_ns));
        assert!(TABLE[16..48].is_sorted_by(|a, b| a.slice_ns > b.slice_ns));
    }

    #[test]
    fn rt_band_is_round_robin_1_to_16() {
        assert!((48..64).all(|prio| at(prio).policy == Policy::RoundRobin));
        assert!((48..64).all(|prio| at(prio).rt_priority == prio - 47));
    }

    #[test]
    fn a_parameter_of_another_band_is_0() {
        for level in &TABLE {
            assert!(level.weight == 0 || level.policy == Policy::Idle);
            assert!(level.slice_ns == 0 || level.policy == Policy::Normal);
            assert!(level.nice == 0 || level.policy != Policy::RoundRobin);
            assert!(level.rt_priority == 0 || level.policy == Policy::RoundRobin);
        }
    }

    #[test]
    fn a_mapping_with_another_hash_has_another_version() {
        assert_eq!((VERSION, HASH), (1, 0x3f17_1407_0d21_7c2b));
        let mut table = TABLE;
        table[32].slice_ns += 1;
        assert_ne!(hash(&table), HASH);
    }

    #[test]
    fn a_table_out_of_order_is_not_sound() {
        let mut table = TABLE;
        assert!(is_sound(&table));
        table.swap(20, 21);
        assert!(!is_sound(&table));
    }

    #[test]
    fn a_table_out_of_range_is_not_sound() {
        let mut table = TABLE;
        table[15].weight = WEIGHT_NICE_19;
        assert!(!is_sound(&table));
    }
}
