// SPDX-License-Identifier: GPL-2.0

//! Operations of a program, and their decoding from bytes. Every sequence of bytes is a
//! program, and most requests of a program are valid or almost valid.

use arbitrary::Arbitrary;
use arbitrary::Result;
use arbitrary::Unstructured;
use gosched::uapi;

/// Limit of the number of operations in a program.
const MAX_OPS: usize = 64;

/// Number of areas of the address space that a program maps the device to.
pub(crate) const AREAS: usize = 3;

/// Number of open files of the device that a program has.
pub(crate) const FILES: usize = 2;

/// Program of one process.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) role: Role,
    /// True if a page of the first file is mapped to the first area at the start.
    pub(crate) mapped: bool,
    pub(crate) ops: Vec<Op>,
}

impl Program {
    /// Decodes a program; bytes missing at the end count as zero.
    pub(crate) fn decode(input: &[u8]) -> Self {
        let mut u = Unstructured::new(input);
        let role = Role::arbitrary(&mut u).unwrap_or(Role::Plain);
        let mapped = u.arbitrary().unwrap_or(true);
        let mut ops = Vec::new();
        while !u.is_empty() && ops.len() < MAX_OPS {
            ops.extend(Op::arbitrary(&mut u));
        }
        Self { role, mapped, ops }
    }
}

/// Privileges of an otherwise unprivileged process.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Role {
    /// No privileges.
    Plain,
    /// Resource limits that allow higher priorities.
    Limits,
    /// A granted ceiling in the rt band.
    Granted,
    /// A granted ceiling below what the process owns.
    Lowered,
    /// The rights of root, in a user namespace of the process.
    Namespace,
}

/// Thread that performs an operation.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Thread {
    /// The first thread of the process.
    Leader,
    /// A second thread.
    Second,
}

/// One operation of a program.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Op {
    Ioctl(Thread, Ioctl),
    Syscall(Thread, Target, Flags, Value),
    SetAttr(Thread, Target, Attributes),
    Store(Thread, Area, Slot, Hint),
    /// All steps of a hint: a mapping, a binding, a store, and a pause in which the scheduler
    /// reads the hint.
    Hint(Thread, File, Slot, Hint, Pause),
    Memory(MemoryOp),
    Lifetime(Lifetime),
    Pause(Thread, Pause),
}

/// Operation on mappings of the device.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum MemoryOp {
    Map(Map),
    Unmap(Range),
    Protect(Range, Protection),
    Advise(Range, Advice),
    Remap(Remap),
    Load(Area, Slot),
}

/// Start or end of a file, a process or a thread.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    Reopen(File),
    Fork(Thread, ChildAction),
    BindAndExit(File, Slot),
}

/// A request of the device.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Ioctl {
    pub(crate) file: File,
    pub(crate) request: Request,
    pub(crate) size: Size,
    pub(crate) flags: Flags,
    pub(crate) target: Target,
    pub(crate) value: Value,
    pub(crate) slot: Slot,
    pub(crate) corruption: Corruption,
    pub(crate) place: Place,
}

/// A mapping of the device.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Map {
    pub(crate) file: File,
    pub(crate) area: Area,
    pub(crate) pages: Pages,
    pub(crate) cut: Cut,
    pub(crate) offset: Offset,
    pub(crate) protection: Protection,
    pub(crate) flags: MapFlags,
}

/// A part of an area.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) area: Area,
    pub(crate) from: Pages,
    pub(crate) pages: Pages,
}

/// Arguments of `mremap(2)`.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Remap {
    pub(crate) from: Area,
    /// The new place of the mapping, or `None` to leave the mapping in its place.
    pub(crate) to: Option<Area>,
    pub(crate) old_pages: Pages,
    pub(crate) new_pages: Pages,
    pub(crate) keep_old: bool,
}

/// Arguments of `sched_setattr(2)`.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) policy: Policy,
    pub(crate) nice: i8,
    pub(crate) rt_priority: u8,
    pub(crate) flags: AttrFlags,
    pub(crate) slice_ns: u32,
}

/// The action of a child after fork.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum ChildAction {
    Exit,
    Exec,
    Sleep,
}

/// Way to enter the scheduler.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Pause {
    Yield,
    Sleep,
    Spin,
}

/// Place of the structure of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Ordinary,
    Misaligned,
    EndOfPage,
    /// A place at the end of a page, with only this many bytes mapped.
    Cut(u8),
    ReadOnly,
    Hints(Area),
    At(usize),
}

/// Target of a request: a thread, and the form in which the request names it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) thread: TargetThread,
    pub(crate) form: TargetForm,
}

/// Form in which a request names a thread.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum TargetForm {
    Tid,
    Pidfd,
}

/// Thread that a request names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TargetThread {
    Caller,
    Leader,
    Second,
    /// A thread that does nothing, so that only requests change its state.
    Sleeper,
    Child,
    /// A thread of another user or of the kernel.
    Bystander(u8),
    Any(i32),
}

/// Defines types of numbers that are generated with uneven probabilities.
macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident($kind:ty) = $generate:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) $kind);

        impl<'a> Arbitrary<'a> for $name {
            fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
                let generate: fn(&mut Unstructured<'a>) -> Result<$kind> = $generate;
                generate(u).map(Self)
            }
        }
    )*};
}

generated! {
    /// Index of an area. The first area is the most likely.
    Area(usize) = |u| Ok(u.int_in_range(0..=2 * AREAS)?.saturating_sub(AREAS + 1));
    /// Index of an open file.
    File(usize) = |u| Ok(usize::from(u.ratio(1, 4)?));
    /// A priority, or an invalid number.
    Value(u32) = |u| match u.int_in_range(0..=15)? {
        0 => u.arbitrary(),
        1 => u.choose(&[64, 65, 254, 255, 1 << 31, u32::MAX]).copied(),
        _ => u.int_in_range(0..=63),
    };
    /// Byte that is stored to a slot.
    Hint(u8) = |u| match u.int_in_range(0..=7)? {
        0 => u.arbitrary(),
        1 => Ok(uapi::GO_SCHED_HINT_NONE as u8),
        _ => u.int_in_range(0..=63),
    };
    /// Number of a slot.
    Slot(u32) = |u| match u.int_in_range(0..=15)? {
        0 => u.arbitrary(),
        1 => u.choose(&[63, 64, 16_383, 16_384, 1 << 26, u32::MAX]).copied(),
        _ => u.int_in_range(0..=3),
    };
    /// Number of an `ioctl(2)`.
    Request(u32) = |u| match u.int_in_range(0..=31)? {
        0 => u.arbitrary(),
        1 => Ok(uapi::GO_SCHED_VERSION | u32::from(u.arbitrary::<u8>()?)),
        2 => Ok(u.choose(REQUESTS)? ^ 1 << u.int_in_range(0..=31)?),
        _ => u.choose(REQUESTS).copied(),
    };
    /// Value of a structure's size field; `None` is the true size.
    Size(Option<u32>) = |u| match u.int_in_range(0..=31)? {
        0 => u.arbitrary().map(Some),
        1 => u.int_in_range(0..=128).map(Some),
        2 => u.choose(&[4095, 4096, 4097, 1 << 31, u32::MAX]).copied().map(Some),
        _ => Ok(None),
    };
    /// Bits that are flipped in the flags that the target's form needs.
    Flags(u32) = |u| match u.int_in_range(0..=15)? {
        0 => u.arbitrary(),
        1 => Ok(1 << u.int_in_range(0..=31)?),
        2..=5 => Ok(uapi::GO_SCHED_INHERIT),
        6 => Ok(uapi::GO_SCHED_FOLLOW_HINT),
        _ => Ok(0),
    };
    /// Offset in the page of the structure, and the bits to flip there.
    Corruption(Option<(u16, u8)>) = |u| match u.ratio(1, 12)? {
        true => Ok(Some((u.int_in_range(0..=4095)?, u.arbitrary()?))),
        false => Ok(None),
    };
    /// A length or an offset, in pages.
    Pages(usize) = |u| match u.int_in_range(0..=7)? {
        0 => u.int_in_range(0..=512),
        1 => u.choose(&[0, 255, 256, 257, 511, 512]).copied(),
        _ => u.int_in_range(1..=2),
    };
    /// Number of bytes by which a length is short of whole pages.
    Cut(usize) = |u| match u.ratio(1, 12)? {
        true => u.int_in_range(1..=4095),
        false => Ok(0),
    };
    /// Offset of a mapping in the file.
    Offset(i64) = |u| match u.int_in_range(0..=15)? {
        0 => u.arbitrary(),
        1 => u.choose(&[1 << 20, 255 << 12, 256 << 12, i64::MAX & !4095, -4096]).copied(),
        2 | 3 => Ok(u.int_in_range(0..=300)? << 12),
        _ => Ok(0),
    };
    /// A combination of `PROT_*`.
    Protection(i32) = |u| match u.int_in_range(0..=7)? {
        0 => Ok(u.arbitrary::<i32>()? & 0x0300_000f),
        1 | 2 => u.int_in_range(0..=7),
        _ => Ok(libc::PROT_READ | libc::PROT_WRITE),
    };
    /// A combination of `MAP_*`, without `MAP_ANONYMOUS` and the flags that change the
    /// address.
    MapFlags(i32) = |u| match u.int_in_range(0..=7)? {
        0 => Ok(u.arbitrary::<i32>()? & 0x000f_efcf),
        1 => Ok(libc::MAP_PRIVATE),
        2 => Ok(libc::MAP_SHARED_VALIDATE),
        3 => Ok(libc::MAP_SHARED | libc::MAP_POPULATE),
        _ => Ok(libc::MAP_SHARED),
    };
    /// A policy `SCHED_*`, or another number.
    Policy(u32) = |u| match u.int_in_range(0..=7)? {
        0 => u.int_in_range(0..=9),
        1 => Ok(libc::SCHED_RR as u32),
        2 => Ok(libc::SCHED_IDLE as u32),
        3 => Ok(libc::SCHED_BATCH as u32),
        _ => Ok(libc::SCHED_OTHER as u32),
    };
    /// A combination of `SCHED_FLAG_*`.
    AttrFlags(u64) = |u| match u.int_in_range(0..=7)? {
        0 => u.int_in_range(0..=0x7f),
        1 => Ok(libc::SCHED_FLAG_RESET_ON_FORK as u64),
        2 => Ok(libc::SCHED_FLAG_KEEP_POLICY as u64),
        3 => Ok(libc::SCHED_FLAG_KEEP_PARAMS as u64),
        _ => Ok(0),
    };
    /// An advice `MADV_*`.
    Advice(i32) = |u| match u.int_in_range(0..=7)? {
        0 => u.arbitrary(),
        1 => u.int_in_range(100..=103),
        _ => u.int_in_range(0..=25),
    };
}

/// Numbers of requests; a more frequent request is listed more often.
const REQUESTS: &[u32] = &[
    uapi::GO_SCHED_VERSION,
    uapi::GO_SCHED_SET,
    uapi::GO_SCHED_SET,
    uapi::GO_SCHED_SET,
    uapi::GO_SCHED_GET,
    uapi::GO_SCHED_CLEAR,
    uapi::GO_SCHED_FOLLOW,
    uapi::GO_SCHED_CLEAR,
    uapi::GO_SCHED_CEILING,
    uapi::GO_SCHED_CEILING,
    uapi::GO_SCHED_BIND,
    uapi::GO_SCHED_BIND,
    uapi::GO_SCHED_UNBIND,
    uapi::GO_SCHED_STATS,
    uapi::GO_SCHED_CLASS_INFO,
];

impl<'a> Arbitrary<'a> for Place {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=31)? {
            0 => Self::Misaligned,
            1 => Self::EndOfPage,
            2 => Self::Cut(u.arbitrary()?),
            3 => Self::ReadOnly,
            4 => Self::Hints(u.arbitrary()?),
            5 => Self::At(*u.choose(INVALID_ADDRESSES)?),
            _ => Self::Ordinary,
        })
    }
}

/// Addresses where nothing is mapped, or that a process cannot access.
const INVALID_ADDRESSES: &[usize] = &[
    0,
    1,
    usize::MAX,
    usize::MAX - 3,
    // The end of user space, the gap behind it, and addresses of the kernel.
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0x8000_0000_0000_0000,
    0xffff_8880_0000_0000,
    0xffff_ffff_8100_0000,
];

impl<'a> Arbitrary<'a> for TargetThread {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=15)? {
            0 => Self::Any(u.arbitrary()?),
            // The file descriptors of the process, when they are used as pidfds.
            1 => Self::Any(u.int_in_range(-2..=30)?),
            2..=4 => Self::Bystander(u.arbitrary()?),
            5 => Self::Child,
            6 | 7 => Self::Leader,
            8 | 9 => Self::Second,
            10 | 11 => Self::Caller,
            _ => Self::Sleeper,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Program;
    use super::MAX_OPS;

    #[test]
    fn every_sequence_of_bytes_is_a_program() {
        let mut rng = fastrand::Rng::with_seed(0);
        for length in 0..1000 {
            let mut input = vec![0; length];
            rng.fill(&mut input);
            assert!(Program::decode(&input).ops.len() <= MAX_OPS);
        }
    }
}
