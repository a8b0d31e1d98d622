// SPDX-License-Identifier: GPL-2.0

//! The binary interface: sizes, numbers, pointers, and the rule by which the
//! structures grow.

use std::ptr;
use std::ptr::NonNull;

use common::attr::Attr;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::worker::in_thread;
use common::NO_PRIO;
use go_sched_policy::TABLE;
use gosched::uapi::go_sched_follow;
use gosched::uapi::GO_SCHED_FOLLOW;
use gosched::uapi::GO_SCHED_FOLLOW_SIZE_VER0;
use gosched::uapi::*;
use rustix::io::Errno;
use rustix::mm::mmap_anonymous;
use rustix::mm::mprotect;
use rustix::mm::munmap;
use rustix::mm::MapFlags;
use rustix::mm::MprotectFlags;
use rustix::mm::ProtFlags;

const PAGE: usize = 4096;

/// A request on the calling thread, as words: of a structure at most a page
/// long, and of the next byte.
type Words = [u32; PAGE / 4 + 1];

/// A request that takes a structure, and what is special to that request.
struct Request {
    number: u32,
    /// Size of the structure's first version, in bytes.
    ver0: u32,
    /// Size of the structure's present version, in bytes.
    size: u32,
}

const fn request<T>(number: u32, ver0: u32) -> Request {
    Request {
        number,
        ver0,
        size: size_of::<T>() as u32,
    }
}

/// All requests that take a structure, the one that needs a mapped page last.
const REQUESTS: [Request; 8] = [
    request::<go_sched_set>(GO_SCHED_SET, GO_SCHED_SET_SIZE_VER0),
    request::<go_sched_clear>(GO_SCHED_CLEAR, GO_SCHED_CLEAR_SIZE_VER0),
    request::<go_sched_get>(GO_SCHED_GET, GO_SCHED_GET_SIZE_VER0),
    request::<go_sched_ceiling>(GO_SCHED_CEILING, GO_SCHED_CEILING_SIZE_VER0),
    request::<go_sched_stats>(GO_SCHED_STATS, GO_SCHED_STATS_SIZE_VER0),
    request::<go_sched_class_info>(GO_SCHED_CLASS_INFO, GO_SCHED_CLASS_INFO_SIZE_VER0),
    request::<go_sched_follow>(GO_SCHED_FOLLOW, GO_SCHED_FOLLOW_SIZE_VER0),
    request::<go_sched_bind>(GO_SCHED_BIND, GO_SCHED_BIND_SIZE_VER0),
];

/// A structure of `size` bytes that is valid for any request but one: no flags,
/// the calling thread, priority 0.
fn words(size: u32) -> Words {
    let mut words = [0; PAGE / 4 + 1];
    words[0] = size;
    words
}

/// Two pages, the second of which is not mapped.
struct Edge(NonNull<u8>);

impl Edge {
    fn new() -> Self {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: A new mapping is in nobody's way.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), 2 * PAGE, access, MapFlags::PRIVATE) };
        let start = NonNull::new(start.expect("memory").cast::<u8>()).expect("not at 0");
        // SAFETY: The second page has just been mapped, and nobody uses it.
        unsafe { munmap(start.add(PAGE).as_ptr().cast(), PAGE) }.expect("a mapped page");
        Self(start)
    }

    /// Writes `words` so that the first `mapped` bytes are in memory. Returns their
    /// address.
    fn put(&self, words: &[u32], mapped: usize) -> usize {
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
        // SAFETY: `mapped` is at most a page.
        let start = unsafe { self.0.add(PAGE - mapped) };
        for (i, byte) in bytes.take(mapped).enumerate() {
            // SAFETY: The bytes from `start` to the end of the page are ours.
            unsafe { start.add(i).write(byte) };
        }
        start.addr().get()
    }

    fn protect(&self, access: MprotectFlags) {
        // SAFETY: The page is ours, and only the kernel touches it from now on.
        unsafe { mprotect(self.0.as_ptr().cast(), PAGE, access) }.expect("a mapped page");
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // SAFETY: The first page is ours, and nobody refers to it any more.
        unsafe { munmap(self.0.as_ptr().cast(), PAGE) }.expect("a mapped page");
    }
}

/// Issues a request on memory that may not be there.
fn request_at(device: &Device, request: u32, address: usize) -> Result<i32, Errno> {
    // SAFETY: The addresses of this file are an `Edge`'s or nobody's.
    unsafe { device.request(request, address) }
}

#[test]
fn the_version_is_that_of_the_header() {
    // SAFETY: The request takes no argument.
    let version = unsafe { Device::open().request(GO_SCHED_VERSION, 0) };
    assert_eq!(version, Ok(GO_SCHED_ABI_VERSION as i32));
}

#[test]
fn the_first_version_of_each_structure_is_no_longer_than_today() {
    assert_eq!(
        REQUESTS.map(|request| request.ver0),
        [16, 12, 40, 16, 48, 24, 12, 12]
    );
    for Request { number, ver0, size } in REQUESTS {
        assert!(ver0 <= size, "{number:#x}");
    }
    assert_eq!(size_of::<go_sched_slot>(), GO_SCHED_SLOT_SIZE as usize);
}

#[test]
fn an_unknown_request_is_enotty() {
    let device = Device::open();
    let sized = (size_of::<go_sched_set>() as u32) << 16;
    let unknown = [
        0,
        0xBC0A,
        0xBCFF,
        0xBB01,
        0xBD01,
        GO_SCHED_SET | 1 << 30,
        GO_SCHED_SET | sized,
        u32::MAX,
    ];
    for request in unknown {
        let mut words = words(GO_SCHED_SET_SIZE_VER0);
        assert_refused(&device, SELF, Errno::NOTTY, || {
            device.request_on(request, &mut words)
        });
    }
}

#[test]
fn a_structure_shorter_than_its_first_version_is_einval() {
    let device = Device::open();
    for Request { number, ver0, .. } in REQUESTS {
        for size in [0, 1, 4, 8, ver0 - 4, ver0 - 1] {
            let mut words = words(size);
            assert_refused(&device, SELF, Errno::INVAL, || {
                device.request_on(number, &mut words)
            });
        }
    }
}

#[test]
fn a_longer_structure_is_accepted_while_its_tail_is_zero() {
    in_thread(|| {
        let device = Device::open();
        let (bind, others) = REQUESTS.split_last().expect("there are requests");
        for Request { number, ver0, size } in others {
            for size in [*ver0, ver0 + 1, *size, size + 1, size + 8, 4095, 4096] {
                let mut words = words(size);
                assert_eq!(device.request_on(*number, &mut words), Ok(0), "{size}");
            }
        }
        let _page = HintPage::new(&device, 1);
        for size in [bind.ver0, bind.ver0 + 1, bind.size + 8, 4095, 4096] {
            let mut words = words(size);
            assert_eq!(device.request_on(bind.number, &mut words), Ok(0), "{size}");
            device.unbind();
        }
    });
}

#[test]
fn a_longer_structure_with_anything_in_its_tail_is_e2big() {
    let device = Device::open();
    for Request { number, size, .. } in REQUESTS {
        for (size, odd) in [
            (size + 4, size),
            (size + 8, size + 4),
            (4096, size),
            (4096, 2048),
            (4096, 4092),
        ] {
            let mut words = words(size);
            words[odd as usize / 4] = 1;
            assert_refused(&device, SELF, Errno::TOOBIG, || {
                device.request_on(number, &mut words)
            });
        }
    }
}

#[test]
fn a_structure_longer_than_a_page_is_e2big() {
    let device = Device::open();
    for Request { number, .. } in REQUESTS {
        for size in [4097, 1 << 16, 1 << 31, u32::MAX] {
            let mut words = words(size);
            assert_refused(&device, SELF, Errno::TOOBIG, || {
                device.request_on(number, &mut words)
            });
        }
    }
}

#[test]
fn a_pointer_to_nowhere_is_efault() {
    let device = Device::open();
    let nowhere = [
        0,
        1,
        usize::MAX,
        usize::MAX - 3,
        // The end of user space, the hole behind it, and the kernel's own.
        0x7fff_ffff_f000,
        0x8000_0000_0000,
        0x8000_0000_0000_0000,
        0xffff_8880_0000_0000,
        0xffff_ffff_8100_0000,
    ];
    for Request { number, .. } in REQUESTS {
        for address in nowhere {
            assert_refused(&device, SELF, Errno::FAULT, || {
                request_at(&device, number, address)
            });
        }
    }
}

#[test]
fn a_structure_that_is_not_all_there_is_efault() {
    let device = Device::open();
    let edge = Edge::new();
    for Request { number, ver0, .. } in REQUESTS {
        // The size, which the kernel reads first, may be there or not.
        for mapped in [0, 2, 4, 8, ver0 - 1] {
            let address = edge.put(&words(ver0), mapped as usize);
            assert_refused(&device, SELF, Errno::FAULT, || {
                request_at(&device, number, address)
            });
        }
        let address = edge.put(&words(4096), 4095);
        assert_refused(&device, SELF, Errno::FAULT, || {
            request_at(&device, number, address)
        });
    }
}

#[test]
fn only_what_answers_writes_to_its_structure() {
    in_thread(|| {
        let device = Device::open();
        let edge = Edge::new();
        let _page = HintPage::new(&device, 1);
        for Request { number, ver0, .. } in REQUESTS {
            edge.protect(MprotectFlags::READ | MprotectFlags::WRITE);
            let address = edge.put(&words(ver0), ver0 as usize);
            edge.protect(MprotectFlags::READ);
            let result = request_at(&device, number, address);
            let expected = match number {
                GO_SCHED_GET | GO_SCHED_STATS | GO_SCHED_CLASS_INFO => Err(Errno::FAULT),
                _ => Ok(0),
            };
            assert_eq!(result, expected, "{number:#x}");
        }
    });
}

#[test]
fn an_unknown_flag_is_einval() {
    let device = Device::open();
    for Request { number, ver0, .. } in REQUESTS {
        let known = match number {
            GO_SCHED_SET => GO_SCHED_TARGET_PIDFD | GO_SCHED_INHERIT,
            GO_SCHED_BIND | GO_SCHED_CLASS_INFO => 0,
            _ => GO_SCHED_TARGET_PIDFD,
        };
        for flag in (0..u32::BITS).map(|bit| 1 << bit) {
            if flag & known == 0 {
                let mut words = words(ver0);
                words[1] = flag;
                assert_refused(&device, SELF, Errno::INVAL, || {
                    device.request_on(number, &mut words)
                });
            }
        }
    }
}

#[test]
fn a_priority_above_63_is_einval() {
    let device = Device::open();
    for prio in NO_PRIO {
        assert_refused(&device, SELF, Errno::INVAL, || {
            device.try_set(SELF, prio, 0)
        });
    }
}

#[test]
fn get_writes_as_much_as_it_was_given_and_no_more() {
    in_thread(|| {
        const CANARY: u32 = 0xA5A5_A5A5;
        let device = Device::open();
        device.set(SELF, 40);
        let (known, base_end) = (
            size_of::<go_sched_get>() / 4,
            GO_SCHED_GET_SIZE_VER0 as usize / 4,
        );

        for size in [GO_SCHED_GET_SIZE_VER0, 4 * known as u32, 4096] {
            let size_words = size as usize / 4;
            let answered = known.min(size_words);
            let mut words = words(size);
            words[size_words..].fill(CANARY);
            // What is only answered may hold anything before.
            words[3..answered].fill(CANARY);
            assert_eq!(device.request_on(GO_SCHED_GET, &mut words), Ok(0));

            assert_eq!(words[1..4], [0, 0, 40], "flags, target, priority");
            assert!(words[4..base_end].iter().all(|word| *word == 0), "the base");
            if answered == known {
                let level = &TABLE[40];
                let [policy, nice] = [level.policy.number(), level.nice as u32];
                let [low, high] = [level.slice_ns as u32, (level.slice_ns >> 32) as u32];
                assert_eq!(
                    words[base_end..known],
                    [40, 32, 0, u32::MAX, policy, nice, 0, 0, low, high],
                    "applied, ceiling, slot, in force"
                );
            }
            assert!(words[answered..size_words].iter().all(|word| *word == 0));
            assert!(words[size_words..].iter().all(|word| *word == CANARY));
        }
    });
}

#[test]
fn get_leaves_the_target_as_it_was() {
    let device = Device::open();
    let tid = rustix::thread::gettid().as_raw_pid();
    let mut get = go_sched_get {
        size: size_of::<go_sched_get>() as u32,
        target: tid,
        ..Default::default()
    };
    assert_eq!(device.request_on(GO_SCHED_GET, &mut get), Ok(0));
    assert_eq!(get.target, tid);
}

#[test]
fn clear_of_a_thread_without_a_priority_succeeds() {
    in_thread(|| {
        Attr::normal(3).apply(SELF);
        let device = Device::open();
        assert_unchanged(&device, SELF, || device.clear(SELF));
    });
}
