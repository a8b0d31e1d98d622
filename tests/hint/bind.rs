// SPDX-License-Identifier: GPL-2.0

//! Binding a thread to a slot, and the end of the binding.

use std::sync::Arc;

use common::attr::Attr;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::NONE;
use common::hint::SLOTS_PER_PAGE;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::state::State;
use common::worker::in_thread;
use common::worker::Worker;
use common::SAMPLE;
use gosched::uapi::go_sched_bind;
use gosched::uapi::GO_SCHED_BIND;
use gosched::uapi::GO_SCHED_BIND_SIZE_VER0;
use gosched::uapi::GO_SCHED_HINT_MAX_SIZE;
use gosched::uapi::GO_SCHED_SLOT_SIZE;
use rustix::io::Errno;

/// Slots that one open device can have.
const SLOTS: u32 = GO_SCHED_HINT_MAX_SIZE / GO_SCHED_SLOT_SIZE;

/// A request to bind to slot 0, with room for the fields of newer versions.
fn words(size: u32, flags: u32) -> [u32; 1025] {
    let mut words = [0; 1025];
    words[0] = size;
    words[1] = flags;
    words
}

/// Runs a test in a thread of its own, on a device with one mapped page.
fn with_page(test: impl FnOnce(&Device, &HintPage) + Send + 'static) {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, SLOTS_PER_PAGE);
        test(&device, &page);
    });
}

#[test]
fn get_tells_the_slot_while_the_thread_is_bound() {
    with_page(|device, _| {
        assert_eq!(device.get(SELF).slot, None);
        for slot in [0, 1, SLOTS_PER_PAGE - 1] {
            device.bind(slot);
            assert_eq!(device.get(SELF).slot, Some(slot));
            device.unbind();
            assert_eq!(device.get(SELF).slot, None);
        }
    });
}

#[test]
fn the_last_slot_can_be_bound() {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, SLOTS);
        device.bind(SLOTS - 1);
        assert_eq!(device.get(SELF).slot, Some(SLOTS - 1));
        page.slot(SLOTS - 1).take(7, 7);
    });
}

#[test]
fn every_slot_can_be_bound_in_turn() {
    in_thread(|| {
        let device = Device::open();
        let page = HintPage::new(&device, SLOTS);
        for slot in 0..SLOTS {
            device.bind(slot);
            assert_eq!(page.slot(slot).applied(), NONE, "slot {slot}");
            assert_eq!(page.slot(slot).wanted(), NONE, "slot {slot}");
            device.unbind();
        }
    });
}

#[test]
fn unbind_of_a_thread_that_is_not_bound_succeeds() {
    in_thread(|| {
        let device = Device::open();
        assert_unchanged(&device, SELF, || device.unbind());
        let _page = HintPage::new(&device, 1);
        device.bind(0);
        device.unbind();
        assert_unchanged(&device, SELF, || device.unbind());
    });
}

#[test]
fn unbind_ends_the_hint() {
    for set in SAMPLE.map(Some).into_iter().chain([None]) {
        with_page(move |device, page| {
            if let Some(prio) = set {
                device.set(SELF, prio);
            }
            let before = State::of(device, SELF);
            device.bind(0);
            page.slot(0).take(20, 20);
            device.unbind();
            assert_eq!(State::of(device, SELF), before);
            assert_eq!(page.slot(0).applied(), NONE);

            assert_unchanged(device, SELF, || {
                page.slot(0).store(10);
                std::thread::yield_now();
            });
            assert_eq!(page.slot(0).applied(), NONE);
        });
    }
}

#[test]
fn unbind_works_through_any_open_device() {
    with_page(|device, page| {
        device.bind(0);
        page.slot(0).take(10, 10);
        Device::open().unbind();
        let record = device.get(SELF);
        assert_eq!((record.slot, record.prio), (None, None));
    });
}

#[test]
fn unbind_is_the_calling_threads_alone() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 2));
    let [one, other] = [0, 1].map(|slot| HintedWorker::spawn(&device, &page, slot));
    other.take(10, 10);
    one.worker().run(|| Device::open().unbind());
    assert_eq!(device.get(one.tid()).slot, None);
    assert_eq!(device.get(other.tid()).slot, Some(1));
    other.take(11, 11);
}

#[test]
fn a_slot_that_is_taken_is_ebusy() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let one = HintedWorker::spawn(&device, &page, 0);
    one.take(10, 10);
    assert_unchanged(&device, one.tid(), || {
        let device = Arc::clone(&device);
        Worker::spawn().run(move || {
            assert_refused(&device, SELF, Errno::BUSY, || device.try_bind(0));
        });
    });
    assert_eq!((one.slot().wanted(), one.slot().applied()), (10, 10));
    one.take(11, 11);
}

#[test]
fn a_thread_that_is_bound_is_ebusy() {
    with_page(|device, page| {
        device.bind(0);
        page.slot(0).take(10, 10);
        for slot in [0, 1] {
            assert_refused(device, SELF, Errno::BUSY, || device.try_bind(slot));
        }
        let second = Device::open();
        let _page = HintPage::new(&second, 1);
        assert_refused(device, SELF, Errno::BUSY, || second.try_bind(0));
        page.slot(0).take(11, 11);
    });
}

#[test]
fn a_deadline_thread_is_ebusy() {
    with_page(|device, page| {
        Attr::deadline().apply(SELF);
        assert_refused(device, SELF, Errno::BUSY, || device.try_bind(0));
        Attr::normal(0).apply(SELF);
        device.bind(0);
        page.slot(0).take(10, 10);
    });
}

#[test]
fn a_slot_that_nobody_has_mapped_can_be_bound() {
    with_page(|device, _| {
        for slot in [SLOTS_PER_PAGE, SLOTS - 1] {
            device.bind(slot);
            assert_eq!(device.get(SELF).slot, Some(slot));
            // Whoever maps it then finds what the kernel wrote.
            let all = HintPage::new(device, SLOTS);
            assert_eq!(all.slot(slot).wanted(), NONE);
            all.slot(slot).take(10, 10);
            device.unbind();
        }
        let unmapped = Device::open();
        unmapped.bind(0);
        assert_eq!(device.get(SELF).slot, Some(0));
    });
}

#[test]
fn the_first_slot_behind_the_last_is_einval() {
    with_page(|device, _| {
        for slot in [SLOTS, SLOTS + 1] {
            assert_refused(device, SELF, Errno::INVAL, || device.try_bind(slot));
            let unmapped = Device::open();
            assert_refused(device, SELF, Errno::INVAL, || unmapped.try_bind(slot));
        }
    });
}

#[test]
fn a_slot_far_beyond_the_last_is_einval() {
    with_page(|device, _| {
        for bit in SLOTS.ilog2()..u32::BITS {
            // Its offset in bytes may be that of a mapped slot, in 32 bits.
            for slot in [1 << bit, (1 << bit) + 1] {
                assert_refused(device, SELF, Errno::INVAL, || device.try_bind(slot));
            }
        }
        assert_refused(device, SELF, Errno::INVAL, || device.try_bind(u32::MAX));
    });
}

#[test]
fn a_slot_can_be_bound_after_its_page_was_unmapped() {
    in_thread(|| {
        let device = Device::open();
        drop(HintPage::new(&device, 1));
        device.bind(0);
        HintPage::new(&device, 1).slot(0).take(10, 10);
    });
}

#[test]
fn an_unknown_flag_is_einval() {
    with_page(|device, _| {
        for bit in 0..u32::BITS {
            let mut words = words(GO_SCHED_BIND_SIZE_VER0, 1 << bit);
            assert_refused(device, SELF, Errno::INVAL, || {
                device.request_on(GO_SCHED_BIND, &mut words)
            });
        }
    });
}

#[test]
fn the_structure_grows_by_the_rule_of_all() {
    with_page(|device, _| {
        let ver0 = GO_SCHED_BIND_SIZE_VER0;
        assert_eq!(ver0, 12);
        assert!(size_of::<go_sched_bind>() >= 12);

        for size in [0, 4, ver0 - 4, ver0 - 1] {
            assert_refused(device, SELF, Errno::INVAL, || {
                device.request_on(GO_SCHED_BIND, &mut words(size, 0))
            });
        }
        for size in [ver0, ver0 + 1, ver0 + 8, 4096] {
            let mut words = words(size, 0);
            assert_eq!(device.request_on(GO_SCHED_BIND, &mut words), Ok(0));
            device.unbind();
        }
        for (size, odd) in [(ver0 + 4, ver0), (4096, 4092)] {
            let mut words = words(size, 0);
            words[odd as usize / 4] = 1;
            assert_refused(device, SELF, Errno::TOOBIG, || {
                device.request_on(GO_SCHED_BIND, &mut words)
            });
        }
        assert_refused(device, SELF, Errno::TOOBIG, || {
            device.request_on(GO_SCHED_BIND, &mut words(4097, 0))
        });
    });
}

#[test]
fn a_pointer_to_nowhere_is_efault() {
    with_page(|device, _| {
        for address in [0, 0x7fff_ffff_f000, 0xffff_8880_0000_0000] {
            assert_refused(device, SELF, Errno::FAULT, || {
                // SAFETY: No memory of this process is there.
                unsafe { device.request(GO_SCHED_BIND, address) }
            });
        }
    });
}
