// SPDX-License-Identifier: GPL-2.0

//! A device that one process passes to another through a socket. The two share its
//! slots, and no privilege.

use std::io::IoSlice;
use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
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
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::recvmsg;
use nix::sys::socket::sendmsg;
use nix::sys::socket::socketpair;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::unistd::gettid;

fn socket_pair() -> (OwnedFd, OwnedFd) {
    let flags = SockFlag::SOCK_CLOEXEC;
    socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).expect("sockets")
}

fn pass(socket: &OwnedFd, device: &Device) {
    let fds = [device.as_fd().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let data = [IoSlice::new(b".")];
    sendmsg::<()>(socket.as_raw_fd(), &data, &rights, MsgFlags::empty(), None)
        .expect("the other end is open");
}

fn receive(socket: &OwnedFd) -> Device {
    let (mut byte, mut space) = ([0], cmsg_space!(i32));
    let mut data = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), flags).expect("a message");
    let rights = message.cmsgs().expect("it fits").next();
    let Some(ControlMessageOwned::ScmRights(fds)) = rights else {
        panic!("no file descriptor came with the message");
    };
    // SAFETY: recvmsg(2) has made the descriptor, for nobody else.
    Device::from(unsafe { OwnedFd::from_raw_fd(fds[0]) })
}

#[test]
fn a_passed_device_carries_no_privilege() {
    let root = gettid().as_raw();
    let (ours, theirs) = socket_pair();
    let device = Device::open();
    pass(&ours, &device);
    drop(device);
    in_child(|| {
        become_user(USER);
        let device = receive(&theirs);
        device.set(SELF, 32);
        assert_refused(&device, SELF, Errno::EPERM, || device.try_set(SELF, 33, 0));
        assert_unchanged(&device, root, || {
            assert_eq!(device.try_set(root, 20, 0), Err(Errno::EPERM));
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
        assert_eq!(device.try_bind(0), Err(Errno::EBUSY));
        device.bind(1);
        page.slot(1).take(20, 20);
        assert_eq!(page.slot(0).applied(), 10);
        child.kill();
        assert_eq!(page.slot(0).applied(), NONE);
        assert_eq!(page.slot(1).applied(), 20);
    });
}
