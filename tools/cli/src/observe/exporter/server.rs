// SPDX-License-Identifier: GPL-2.0

//! As much of an HTTP server as Prometheus needs: one answer for each connection, in bounded time
//! and memory.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::ioctl_fionbio;
use rustix::io::read;
use rustix::io::write;
use rustix::io::Errno;
use rustix::net::shutdown;
use rustix::net::Shutdown;

use super::listener::Listener;
use super::request::judge;
use super::request::refuse;
use super::request::LONGEST;
use super::text::Format;

/// The time that a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most connections at a time.
const MOST: usize = 32;

/// The time after which a connection makes room for another one.
const SHARE: Duration = Duration::from_millis(100);

/// The most that is read of a connection once it has its answer, in bytes.
const REST: usize = 1 << 20;

/// The connections.
pub(super) struct Server {
    listener: Listener,
    /// In the order in which they were made.
    clients: Vec<Client>,
}

impl Server {
    pub(super) fn new(listener: Listener) -> Self {
        Self {
            listener,
            clients: Vec::new(),
        }
    }

    /// Returns what to wait for until [`Server::go_on`].
    pub(super) fn polled(&self) -> Vec<PollFd<'_>> {
        let clients = self.clients.iter().map(Client::polled);
        let listener = PollFd::new(&self.listener, PollFlags::IN);
        clients.chain(self.has_room().then_some(listener)).collect()
    }

    /// Returns how long to wait at most; `None` if there is no bound.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let oldest = self.clients.first()?.since.elapsed();
        let bound = if self.has_room() { PATIENCE } else { SHARE };
        Some(bound.saturating_sub(oldest))
    }

    /// Returns whether there is room for another connection, if need be in place of the oldest one.
    fn has_room(&self) -> bool {
        let oldest = self.clients.first();
        self.clients.len() < MOST || oldest.is_some_and(|oldest| oldest.since.elapsed() >= SHARE)
    }

    /// Takes the next client, and goes on with each as far as that needs no waiting. `figures`
    /// returns an answer. Fails if a client cannot be taken; the others have gone on nevertheless.
    pub(super) fn go_on(&mut self, figures: &mut dyn FnMut(Format) -> Rc<str>) -> io::Result<()> {
        let taken = self.take();
        let is_tcp = self.listener.is_tcp();
        self.clients.retain_mut(|client| {
            // A client that goes away, or fails in another way, has no answer to get.
            let is_done = client.go_on(is_tcp, figures).unwrap_or(true);
            !is_done && client.since.elapsed() < PATIENCE
        });
        taken
    }

    fn take(&mut self) -> io::Result<()> {
        if !self.has_room() {
            return Ok(());
        }
        if let Some(socket) = self.listener.accept()? {
            if self.clients.len() == MOST {
                self.clients.remove(0);
            }
            ioctl_fionbio(&socket, true)?;
            self.clients.push(Client {
                socket,
                since: Instant::now(),
                state: State::Request(Vec::new()),
            });
        }
        Ok(())
    }
}

struct Client {
    socket: OwnedFd,
    since: Instant,
    state: State,
}

/// What a client is at.
enum State {
    /// It sends a request, of which this has come.
    Request(Vec<u8>),
    /// It gets an answer, of which so many bytes are on the way.
    Answer(Rc<str>, usize),
    /// It has its answer. So many bytes have come since: if a socket is closed that has some left,
    /// the kernel takes back the answer.
    Rest(usize),
}

impl Client {
    fn polled(&self) -> PollFd<'_> {
        let flags = match self.state {
            State::Request(_) | State::Rest(_) => PollFlags::IN,
            State::Answer(..) => PollFlags::OUT,
        };
        PollFd::new(&self.socket, flags)
    }

    /// Goes on as far as that needs no waiting. Returns whether the connection is to end.
    fn go_on(
        &mut self,
        is_tcp: bool,
        figures: &mut dyn FnMut(Format) -> Rc<str>,
    ) -> io::Result<bool> {
        loop {
            match self.step(is_tcp, figures) {
                Ok(false) | Err(Errno::INTR) => (),
                Ok(true) => return Ok(true),
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn step(
        &mut self,
        is_tcp: bool,
        figures: &mut dyn FnMut(Format) -> Rc<str>,
    ) -> Result<bool, Errno> {
        match &mut self.state {
            State::Request(request) => {
                let mut bytes = [0; LONGEST];
                let more = read(&self.socket, &mut bytes[..LONGEST - request.len()])?;
                request.extend(&bytes[..more]);
                if let Some(judged) = judge(request, is_tcp) {
                    let answer = match judged {
                        Ok(format) => figures(format),
                        Err(refusal) => refuse(&refusal).into(),
                    };
                    self.state = State::Answer(answer, 0);
                }
                Ok(more == 0)
            }
            State::Answer(answer, sent) => {
                *sent += write(&self.socket, &answer.as_bytes()[*sent..])?;
                if *sent == answer.len() {
                    shutdown(&self.socket, Shutdown::Write)?;
                    self.state = State::Rest(0);
                }
                Ok(false)
            }
            State::Rest(length) => {
                let more = read(&self.socket, &mut [0; LONGEST])?;
                *length += more;
                Ok(more == 0 || *length > REST)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;
    use std::thread;

    use rustix::event::poll;
    use rustix::event::Timespec;

    use super::*;
    use crate::args::Listen;

    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// Listens at a port that is free.
    fn listen() -> (Listener, SocketAddr) {
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::open(&Listen::Address(any)).expect("a free port");
        let Listener::Tcp(tcp) = &listener else {
            panic!("not TCP")
        };
        let address = tcp.local_addr().expect("an address");
        (listener, address)
    }

    /// Waits as long as the server says, but for a moment at most, and goes on.
    fn go_on(server: &mut Server, figures: &str) {
        let moment = Duration::from_millis(10);
        let timeout = server
            .timeout()
            .map_or(moment, |timeout| timeout.min(moment));
        let timeout = Timespec::try_from(timeout).expect("a short time");
        poll(&mut server.polled(), Some(&timeout)).expect("it waits");
        server.go_on(&mut |_| figures.into()).expect("it goes on");
        assert!(server.clients.len() <= MOST);
    }

    /// Runs `clients` while a server answers with these figures.
    fn serve(figures: &str, clients: impl FnOnce(SocketAddr)) {
        /// Ends the server when a client has failed, too.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }

        let (listener, address) = listen();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let end = End(&is_over);
            scope.spawn(|| {
                let mut server = Server::new(listener);
                while !is_over.load(Ordering::Relaxed) {
                    go_on(&mut server, figures);
                }
            });
            clients(address);
            drop(end);
        });
    }

    /// Returns the answer to a request, of which the server need not take all.
    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut client = TcpStream::connect(address).expect("it listens");
        let _ = client.write_all(request);
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn one_request_is_answered_after_the_other() {
        serve("HTTP", |address| {
            for _ in 0..3 {
                assert_eq!(ask(address, REQUEST), "HTTP");
            }
        });
    }

    #[test]
    fn a_request_that_is_too_long_is_answered() {
        serve("HTTP", |address| {
            let huge = [b"GET /metrics HTTP/1.1\r\nX: ", &[b'a'; 500_000][..]].concat();
            let answer = ask(address, &huge);
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        });
    }

    #[test]
    fn clients_that_send_nothing_keep_no_other_from_its_answer() {
        serve("HTTP", |address| {
            let connect = |_| TcpStream::connect(address).expect("it listens");
            let idle: Vec<_> = (0..10 * MOST).map(connect).collect();
            assert_eq!(ask(address, REQUEST), "HTTP");
            drop(idle);
        });
    }

    #[test]
    fn a_client_that_does_not_read_keeps_no_other_from_its_answer() {
        let figures = "a".repeat(20 << 20);
        serve(&figures, |address| {
            let mut client = TcpStream::connect(address).expect("it listens");
            client.write_all(REQUEST).expect("it is sent");
            assert_eq!(ask(address, REQUEST).len(), figures.len());
            drop(client);
        });
    }

    #[test]
    fn a_client_whose_time_is_over_is_left() {
        let (listener, address) = listen();
        let mut server = Server::new(listener);
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(&REQUEST[..20]).expect("it is sent");
        while server.clients.is_empty() {
            go_on(&mut server, "HTTP");
        }
        server.clients[0].since -= PATIENCE;
        assert_eq!(server.timeout(), Some(Duration::ZERO));
        go_on(&mut server, "HTTP");
        assert!(server.clients.is_empty());
    }

    #[test]
    fn a_client_that_goes_away_takes_no_room() {
        let (listener, address) = listen();
        let mut server = Server::new(listener);
        for sent in [&b""[..], &REQUEST[..20], REQUEST] {
            let mut client = TcpStream::connect(address).expect("it listens");
            client.write_all(sent).expect("it is sent");
            while server.clients.is_empty() {
                go_on(&mut server, "HTTP");
            }
            drop(client);
            while !server.clients.is_empty() {
                go_on(&mut server, "HTTP");
            }
        }
    }
}
