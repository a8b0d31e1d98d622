// SPDX-License-Identifier: GPL-2.0

//! The memory of hint pages. A page is allocated when it is touched or bound, and counts
//! as memory that its user has locked. The page is freed when no file, mapping or bound
//! thread needs it.

use std::process;

use common::cgroup::Cgroup;
use common::child::become_user;
use common::child::end_of_child;
use common::child::in_child;
use common::child::set_limit;
use common::child::Child;
use common::device::Device;
use common::device::PublicDevice;
use common::device::SELF;
use common::eventually;
use common::hint::HintPage;
use common::hint::PAGE_SIZE;
use common::hint::SLOTS_PER_PAGE;
use common::state::assert_refused;
use common::worker::Worker;
use common::OTHER_USER;
use common::USER;
use gosched::uapi::GO_SCHED_HINT_MAX_SIZE;
use rustix::io::Errno;
use rustix::process::Resource;

/// Pages that one open device can have.
const PAGES: u32 = GO_SCHED_HINT_MAX_SIZE / PAGE_SIZE as u32;

/// Slots that one open device can have.
const SLOTS: u32 = PAGES * SLOTS_PER_PAGE;

/// Pages that the user may lock.
const LIMIT: u32 = 16;

/// Open devices, as many as a user has without any trouble.
const FILES: usize = 300;

/// Makes the calling process a user's, with a limit of locked pages.
fn become_user_with_limit(uid: u32, pages: u32) {
    let bytes = u64::from(pages) * PAGE_SIZE as u64;
    set_limit(Resource::Memlock, bytes);
    become_user(uid);
}

/// Runs a test in a process of a user that may lock `LIMIT` pages.
#[track_caller]
fn as_user(test: impl FnOnce()) {
    let _public = PublicDevice::new();
    in_child(|| {
        become_user_with_limit(USER, LIMIT);
        test();
    });
}

/// Touches pages of a mapping that starts with page 0.
fn touch(mapping: &HintPage, pages: impl Iterator<Item = u32>) {
    for page in pages {
        mapping.slot(page * SLOTS_PER_PAGE).store(1);
    }
}

/// Allocates a page: binds the calling thread to a slot of the page and unbinds the
/// thread.
fn try_make(device: &Device, page: u32) -> Result<(), Errno> {
    device.try_bind(page * SLOTS_PER_PAGE)?;
    device.try_unbind()
}

/// Allocates `count` pages of a device, and checks that one more is refused.
#[track_caller]
fn assert_room_for(device: &Device, count: u32) {
    for page in 0..count {
        assert_eq!(try_make(device, page), Ok(()), "page {page} of {count}");
    }
    let bind = || device.try_bind(count * SLOTS_PER_PAGE);
    assert_refused(device, SELF, Errno::NOMEM, bind);
}

/// Waits until `count` pages can be allocated, and checks that one more is refused.
#[track_caller]
fn await_room_for(device: &Device, count: u32) {
    eventually("there is room again", || {
        (0..count).all(|page| try_make(device, page).is_ok())
    });
    assert_room_for(device, count);
}

#[test]
fn what_is_mapped_and_not_touched_is_free() {
    as_user(|| {
        let mapped: Vec<_> = (0..FILES)
            .map(|_| {
                let device = Device::open();
                let all = HintPage::new(&device, SLOTS);
                (device, all)
            })
            .collect();
        assert_room_for(&mapped[0].0, LIMIT);
    });
}

#[test]
fn to_bind_beyond_the_limit_is_enomem() {
    as_user(|| {
        let device = Device::open();
        assert_room_for(&device, LIMIT);
        // What is there costs no more.
        for page in 0..LIMIT {
            assert_eq!(try_make(&device, page), Ok(()));
        }
        for page in [LIMIT, PAGES - 1] {
            let bind = || device.try_bind(page * SLOTS_PER_PAGE);
            assert_refused(&device, SELF, Errno::NOMEM, bind);
        }
        // Other files are no way out.
        let other = Device::open();
        assert_refused(&device, SELF, Errno::NOMEM, || other.try_bind(0));
    });
}

#[test]
fn to_touch_beyond_the_limit_is_a_bus_error() {
    as_user(|| {
        let device = Device::open();
        let all = HintPage::new(&device, SLOTS);
        touch(&all, 0..LIMIT);
        for page in [LIMIT, PAGES - 1] {
            let end = end_of_child(|| touch(&all, page..=page));
            assert_eq!(end.terminating_signal(), Some(libc::SIGBUS), "{end:?}");
        }
        // What was there is there still, in a new process as well.
        in_child(|| touch(&all, 0..LIMIT));
        touch(&all, 0..LIMIT);
        let bind = || device.try_bind(LIMIT * SLOTS_PER_PAGE);
        assert_refused(&device, SELF, Errno::NOMEM, bind);
        device.bind(0);
        all.slot(0).take(10, 10);
    });
}

#[test]
fn a_limit_of_0_allows_none() {
    let _public = PublicDevice::new();
    in_child(|| {
        become_user_with_limit(USER, 0);
        let device = Device::open();
        let all = HintPage::new(&device, SLOTS);
        assert_refused(&device, SELF, Errno::NOMEM, || device.try_bind(0));
        let end = end_of_child(|| touch(&all, 0..1));
        assert_eq!(end.terminating_signal(), Some(libc::SIGBUS), "{end:?}");
    });
}

#[test]
fn who_may_lock_memory_has_no_limit() {
    in_child(|| {
        set_limit(Resource::Memlock, 0);
        let device = Device::open();
        let all = HintPage::new(&device, SLOTS);
        touch(&all, 0..PAGES);
        let other = Device::open();
        for page in 0..PAGES {
            assert_eq!(try_make(&other, page), Ok(()), "page {page}");
        }
    });
}

#[test]
fn the_count_is_a_users_over_all_his_processes() {
    const HERS: u32 = 10;
    let _public = PublicDevice::new();
    let have = |uid| {
        Child::sleeping(move || {
            become_user_with_limit(uid, LIMIT);
            let device = Device::open();
            let all = HintPage::new(&device, SLOTS);
            touch(&all, 0..HERS);
            // Both last as long as the process.
            std::mem::forget((device, all));
        })
    };
    let first = have(USER);
    let _other = have(OTHER_USER);
    as_user(|| assert_room_for(&Device::open(), LIMIT - HERS));
    drop(first);
    as_user(|| await_room_for(&Device::open(), LIMIT));
}

#[test]
fn a_page_lasts_as_long_as_its_file_its_mappings_and_who_is_bound_to_it() {
    as_user(|| {
        let device = Device::open();
        let all = HintPage::new(&device, SLOTS);
        touch(&all, 0..LIMIT);
        let other = Device::open();
        let is_full = || assert_refused(&other, SELF, Errno::NOMEM, || other.try_bind(0));
        is_full();
        drop(device);
        is_full();
        drop(all);
        await_room_for(&other, LIMIT);

        drop(other);
        let device = Device::open();
        await_room_for(&device, LIMIT);
        let all = HintPage::new(&device, SLOTS);
        drop(all);
        let bind = || device.try_bind(LIMIT * SLOTS_PER_PAGE);
        assert_refused(&device, SELF, Errno::NOMEM, bind);
    });
}

#[test]
fn a_page_lasts_as_long_as_the_thread_that_is_bound_to_it() {
    /// A function that ends the binding of a thread.
    type End = fn(Worker);
    let ends: [End; 2] = [|worker| worker.run(|| Device::open().unbind()), drop];

    for end in ends {
        as_user(|| {
            let worker = Worker::spawn();
            worker.run(|| {
                let device = Device::open();
                assert_room_for(&device, LIMIT);
                device.bind(3 * SLOTS_PER_PAGE);
            });
            // The other pages went with the file.
            let other = Device::open();
            await_room_for(&other, LIMIT - 1);
            assert_eq!(other.get(worker.tid()).slot, Some(3 * SLOTS_PER_PAGE));
            end(worker);
            await_room_for(&other, LIMIT);
        });
    }
}

/// Returns the bytes of memory that a control group has.
fn bytes(group: &Cgroup) -> u64 {
    group.get("memory.current").parse().expect("a number")
}

#[test]
fn pages_are_charged_to_the_memory_cgroup_when_they_are_touched() {
    /// Files of which all pages are touched.
    const TOUCHED: usize = 10;
    const FILE: u64 = GO_SCHED_HINT_MAX_SIZE as u64;

    let group = Cgroup::new("hint-memory", "+memory");
    in_child(|| {
        group.add(process::id());
        let before = bytes(&group);
        let mapped: Vec<_> = (0..FILES)
            .map(|_| HintPage::new(&Device::open(), SLOTS))
            .collect();
        // Apart from what each file and each mapping costs.
        let mapping = bytes(&group).saturating_sub(before);
        assert!(mapping < FILES as u64 * FILE / 20, "{mapping} bytes");

        let before = bytes(&group);
        for all in &mapped[..TOUCHED] {
            touch(all, 0..PAGES);
        }
        let touching = bytes(&group).saturating_sub(before);
        // The kernel counts in batches.
        assert!(
            touching >= TOUCHED as u64 * FILE * 9 / 10,
            "{touching} bytes"
        );
    });
}
