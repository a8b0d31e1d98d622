// SPDX-License-Identifier: GPL-2.0

//! A device that one process passes to another through a socket. The two share its
//! slots, and no privilege.

use std::io::IoSlice;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use common::child::become_user;
use common::child::in_child;
use common::child::Child;
use common::device::Device;
use common::device::SELF;
use common::hint::HintPage;
use common::hint::NONE;
use common::state::assert_refused;
use common::state::assert_unchanged;
use common::worker::in_thread;
use common::USER;
use rustix::io::Errno;
use rustix::net::recvmsg;
use rustix::net::sendmsg;
use rustix::net::socketpair;
use rustix::net::AddressFamily;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::thread::gettid;

fn socket_pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).expect("sockets")
}

fn pass(socket: &OwnedFd, device: &Device) {
    let fds = [device.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    assert!(rights.push(SendAncillaryMessage::ScmRights(&fds)));
    let data = [IoSlice::new(b".")];
    sendmsg(socket, &data, &mut rights, SendFlags::empty()).expect("the other end is open");
}

fn receive(socket: &OwnedFd) -> Device {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut data, &mut rights, RecvFlags::CMSG_CLOEXEC).expect("a message");
    let Some(RecvAncillaryMessage::ScmRights(mut fds)) = rights.drain().next() else {
        panic!("no file descriptor came with the message");
    };
    Device::from(fds.next().expect("there is one"))
}

#[test]
fn a_passed_device_carries_no_privilege() {
    let root = gettid().as_raw_pid();
    let (ours, theirs) = socket_pair();
    let device = Device::open();
    pass(&ours, &device);
    drop(device);
    in_child(|| {
        become_user(USER);
        let device = receive(&theirs);
        device.set(SELF, 32);
        assert_refused(&device, SELF, Errno::PERM, || device.try_set(SELF, 33, 0));
        assert_unchanged(&device, root, || {
            assert_eq!(device.try_set(root, 20, 0), Err(Errno::PERM));
        });

        let page = HintPage::new(&device, 1);
        device.bind(0);
        page.slot(0).take(10, 10);
        // Up to his own ceiling, and not to that of whoever opened it.
        page.slot(0).take(63, 32);
    });
}

#[test]
fn slots_of_a_passed_device_are_shared() {
    let (ours, theirs) = socket_pair();
    let device = Device::open();
    let page = HintPage::new(&device, 2);
    pass(&ours, &device);
    let child = Child::sleeping(|| {
        let device = receive(&theirs);
        let page = HintPage::new(&device, 2);
        device.bind(0);
        page.slot(0).take(10, 10);
    });
    assert_eq!((page.slot(0).wanted(), page.slot(0).applied()), (10, 10));
    in_thread(move || {
        assert_eq!(device.try_bind(0), Err(Errno::BUSY));
        device.bind(1);
        page.slot(1).take(20, 20);
        assert_eq!(page.slot(0).applied(), 10);
        child.kill();
        assert_eq!(page.slot(0).applied(), NONE);
        assert_eq!(page.slot(1).applied(), 20);
    });
}
