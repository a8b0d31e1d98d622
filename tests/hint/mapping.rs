// SPDX-License-Identifier: GPL-2.0

//! Mapping the hint page, and changes of the mapping.

use std::fs::File;
use std::sync::Arc;

use common::child::in_child;
use common::device::Device;
use common::device::PATH;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::hint::PAGE_SIZE;
use common::hint::SLOTS_PER_PAGE;
use common::worker::Worker;
use gosched::uapi::GO_SCHED_HINT_MAX_SIZE;
use gosched::uapi::GO_SCHED_SLOT_SIZE;
use rustix::io::Errno;
use rustix::mm::madvise;
use rustix::mm::mprotect;
use rustix::mm::msync;
use rustix::mm::Advice;
use rustix::mm::MapFlags;
use rustix::mm::MprotectFlags;
use rustix::mm::MsyncFlags;
use rustix::mm::ProtFlags;

/// Slots that one open device can have.
const SLOTS: u32 = GO_SCHED_HINT_MAX_SIZE / GO_SCHED_SLOT_SIZE;

const READ: ProtFlags = ProtFlags::READ;
const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// Maps `slots` from slot `first` on, shared, to be read and written.
fn try_map(device: &Device, first: u32, slots: u32) -> Result<HintPage, Errno> {
    let offset = u64::from(first * GO_SCHED_SLOT_SIZE);
    HintPage::try_new(device, slots, offset, READ_WRITE, MapFlags::SHARED)
}

/// Returns the same access for `mprotect(2)`.
fn changed_to(access: ProtFlags) -> MprotectFlags {
    MprotectFlags::from_bits_retain(access.bits())
}

#[track_caller]
fn assert_refused(error: Errno, result: Result<HintPage, Errno>) {
    assert_eq!(result.err(), Some(error));
}

/// A page with a thread bound to its first slot.
fn bound_page() -> (Arc<Device>, Arc<HintPage>, HintedWorker) {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let hinted = HintedWorker::spawn(&device, &page, 0);
    (device, page, hinted)
}

#[test]
fn a_private_mapping_is_einval() {
    let device = Device::open();
    for access in [READ, READ_WRITE, ProtFlags::empty()] {
        let private = HintPage::try_new(&device, 1, 0, access, MapFlags::PRIVATE);
        assert_refused(Errno::INVAL, private);
    }
}

#[test]
fn an_executable_mapping_is_refused() {
    let device = Device::open();
    let access = READ_WRITE | ProtFlags::EXEC;
    let executable = HintPage::try_new(&device, 1, 0, access, MapFlags::SHARED);
    assert!(executable.is_err());

    let page = HintPage::new(&device, 1);
    let (start, length) = page.range();
    // SAFETY: The mapping stays as readable and writable as it was.
    let result = unsafe { mprotect(start, length, changed_to(access)) };
    assert_eq!(result, Err(Errno::ACCESS));
}

#[test]
fn a_file_open_for_reading_cannot_be_mapped_for_writing() {
    let device = File::open(PATH).unwrap();
    let writable = HintPage::try_new(&device, 1, 0, READ_WRITE, MapFlags::SHARED);
    assert_refused(Errno::ACCESS, writable);

    let page = HintPage::try_new(&device, 1, 0, READ, MapFlags::SHARED).unwrap();
    let (start, length) = page.range();
    // SAFETY: The mapping becomes more than it was, or stays.
    let result = unsafe { mprotect(start, length, changed_to(READ_WRITE)) };
    assert_eq!(result, Err(Errno::ACCESS));
    page.slot(0).applied();
}

#[test]
fn one_mebibyte_can_be_mapped_and_no_more() {
    let device = Device::open();
    let all = try_map(&device, 0, SLOTS).unwrap();
    all.slot(SLOTS - 1).fill_reserved(1);
    let last = SLOTS - SLOTS_PER_PAGE;
    assert!(try_map(&device, last, SLOTS_PER_PAGE).is_ok());

    for (first, slots) in [
        (0, SLOTS + 1),
        (last, SLOTS_PER_PAGE + 1),
        (SLOTS, 1),
        (SLOTS_PER_PAGE, SLOTS),
        (0, 2 * SLOTS),
    ] {
        assert_refused(Errno::INVAL, try_map(&device, first, slots));
    }
    // So far out that the sum of offset and length is small again.
    let offset = i64::MAX as u64 - (PAGE_SIZE as u64 - 1);
    let far = HintPage::try_new(&device, 1, offset, READ_WRITE, MapFlags::SHARED);
    assert!(far.is_err());
}

#[test]
fn a_mapping_may_start_at_any_page() {
    let device = Arc::new(Device::open());
    let first = 3 * SLOTS_PER_PAGE;
    let fourth = try_map(&device, first, SLOTS_PER_PAGE).unwrap();
    let all = Arc::new(HintPage::new(&device, first + SLOTS_PER_PAGE));

    let hinted = HintedWorker::spawn(&device, &all, first + 5);
    hinted.take(10, 10);
    assert_eq!(
        (fourth.slot(5).wanted(), fourth.slot(5).applied()),
        (10, 10)
    );
    fourth.slot(5).store(20);
    hinted.take(20, 20);
    assert_eq!(fourth.slot(5).applied(), 20);
}

#[test]
fn a_mapping_has_the_slots_that_were_bound_before_it() {
    let device = Arc::new(Device::open());
    let slots = [0, 2 * SLOTS_PER_PAGE + 1, SLOTS - 1];
    let bound = slots.map(|slot| {
        let worker = Worker::spawn();
        let binder = Arc::clone(&device);
        worker.run(move || binder.bind(slot));
        (worker, slot)
    });
    let all = Arc::new(HintPage::new(&device, SLOTS));
    for ((worker, slot), prio) in bound.iter().zip(10..) {
        let (all, slot) = (Arc::clone(&all), *slot);
        worker.run(move || all.slot(slot).take(prio, prio));
        assert_eq!(device.prio(worker.tid()), Some(u32::from(prio)));
    }
}

#[test]
fn two_mappings_of_a_file_show_the_same_slots() {
    let (device, _, hinted) = bound_page();
    let other = HintPage::new(&device, 1);
    hinted.take(10, 10);
    assert_eq!((other.slot(0).wanted(), other.slot(0).applied()), (10, 10));
    other.slot(0).store(20);
    assert_eq!(hinted.slot().wanted(), 20);
}

#[test]
fn two_open_files_have_slots_of_their_own() {
    let (_, _, hinted) = bound_page();
    let (_, _, other) = bound_page();
    hinted.take(10, 10);
    other.take(20, 20);
    assert_eq!((hinted.slot().wanted(), hinted.slot().applied()), (10, 10));
    hinted.assert_ignores(10);
}

#[test]
fn slots_start_as_zeroes_and_the_kernel_writes_two_bytes_of_a_bound_one() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, SLOTS_PER_PAGE));
    for slot in (0..SLOTS_PER_PAGE).map(|slot| page.slot(slot)) {
        assert_eq!((slot.wanted(), slot.applied()), (0, 0));
        assert!(slot.reserved().iter().all(|byte| *byte == 0));
    }
    let hinted = HintedWorker::spawn(&device, &page, 0);
    assert!(page.slot(0).reserved().iter().all(|byte| *byte == 0));
    page.slot(0).fill_reserved(0xa5);
    for prio in [10, 20, 30] {
        hinted.take(prio, prio);
    }
    drop(hinted);
    assert!(page.slot(0).reserved().iter().all(|byte| *byte == 0xa5));
    for slot in (1..SLOTS_PER_PAGE).map(|slot| page.slot(slot)) {
        assert_eq!((slot.wanted(), slot.applied()), (0, 0));
        assert!(slot.reserved().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_mapping_without_access_changes_nothing_for_the_kernel() {
    let (_, page, hinted) = bound_page();
    let (start, length) = page.range();
    let protect = |access| {
        // SAFETY: Nobody uses the slot while it is out of reach.
        unsafe { mprotect(start, length, changed_to(access)) }.unwrap();
    };
    hinted.take(10, 10);
    protect(ProtFlags::empty());
    hinted.device().set(hinted.tid(), 20);
    hinted.worker().run(|| ());
    protect(READ);
    assert_eq!((page.slot(0).wanted(), page.slot(0).applied()), (10, 20));
    protect(READ_WRITE);
    hinted.take(11, 11);
}

#[test]
fn a_mapping_can_be_moved() {
    let device = Arc::new(Device::open());
    let mut page = HintPage::new(&device, 2 * SLOTS_PER_PAGE);
    let worker = Worker::spawn();
    let binder = Arc::clone(&device);
    worker.run(move || binder.bind(SLOTS_PER_PAGE));
    page.slot(SLOTS_PER_PAGE).fill_reserved(0xa5);

    let (before, _) = page.range();
    page.try_move(2 * SLOTS_PER_PAGE).unwrap();
    assert_ne!(page.range().0, before);
    worker.run(move || {
        page.slot(SLOTS_PER_PAGE).take(10, 10);
        page.slot(SLOTS_PER_PAGE).take(20, 20);
        let reserved = page.slot(SLOTS_PER_PAGE).reserved();
        assert!(reserved.iter().all(|byte| *byte == 0xa5));
    });
    assert_eq!(device.prio(worker.tid()), Some(20));
}

#[test]
fn a_mapping_cannot_grow() {
    let device = Device::open();
    let mut page = HintPage::new(&device, SLOTS_PER_PAGE);
    let larger = page.try_move(2 * SLOTS_PER_PAGE);
    assert_eq!(larger, Err(Errno::FAULT));
    page.slot(0).store(1);
}

#[test]
fn a_mapping_can_be_dropped_from_memory_and_read_again() {
    let (_, page, hinted) = bound_page();
    hinted.take(10, 10);
    let (start, length) = page.range();
    // SAFETY: The next access finds the kernel's page again.
    unsafe { madvise(start, length, Advice::LinuxDontNeed) }.unwrap();
    assert_eq!((page.slot(0).wanted(), page.slot(0).applied()), (10, 10));
    hinted.take(20, 20);
}

#[test]
fn a_mapping_cannot_be_wiped_on_fork() {
    let (_, page, hinted) = bound_page();
    let (start, length) = page.range();
    // SAFETY: This process keeps what it has in any case.
    let result = unsafe { madvise(start, length, Advice::LinuxWipeOnFork) };
    assert_eq!(result, Err(Errno::INVAL));
    in_child(|| page.slot(0).store(10));
    hinted.take(10, 10);
}

#[test]
fn a_mapping_need_not_be_inherited() {
    let (_, page, hinted) = bound_page();
    let (start, length) = page.range();
    let is_mapped = || {
        // SAFETY: The call reads and writes nothing of this process.
        let result = unsafe { msync(start, length, MsyncFlags::ASYNC) };
        result != Err(Errno::NOMEM)
    };
    in_child(|| assert!(is_mapped()));
    page.keep_from_children().unwrap();
    in_child(|| assert!(!is_mapped()));
    assert!(is_mapped());
    hinted.take(10, 10);
}
