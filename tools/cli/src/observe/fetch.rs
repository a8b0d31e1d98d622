// SPDX-License-Identifier: GPL-2.0

//! The trace of Go's runtime that a program writes to whoever asks its server, by
//! `net/http/pprof`.

use std::fs::File;
use std::io;
use std::io::Read;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use ureq::http::uri::PathAndQuery;
use ureq::http::Uri;
use ureq::Agent;

use crate::interrupt::Interrupt;
use crate::output::printable;

/// Where `net/http/pprof` writes traces.
const PATH: &str = "/debug/pprof/trace";
/// How long the last of a trace may take, after the time that it is of.
const SLACK: Duration = Duration::from_secs(10);
/// How long what has come of a trace is waited for if the recording ends early.
const GRACE: Duration = Duration::from_secs(1);
/// How long it takes to see a signal.
const GLANCE: Duration = Duration::from_millis(50);
/// How a trace of Go's runtime begins.
const MAGIC: &[u8] = b"go 1.";
/// The most of what a server says instead of a trace.
const MOST_SAID: u64 = 200;

/// Returns whether a text is the URL of a server that can be asked.
pub(crate) fn is_askable(url: &str) -> bool {
    let uri = url.parse::<Uri>();
    uri.is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
}

/// A trace that is being written to a file.
pub(crate) struct Fetch {
    ends: Instant,
    file: File,
    outcome: Receiver<Result<(), String>>,
}

impl Fetch {
    /// Has the server of a program write a trace of so much time, of which at most `room` bytes are
    /// kept.
    pub(crate) fn start(url: &str, takes: Duration, file: File, room: u64) -> io::Result<Self> {
        let (send, outcome) = mpsc::channel();
        let url = url.to_owned();
        let to = file.try_clone()?;
        thread::Builder::new().spawn(move || {
            let outcome = fetch(&url, takes, to, room);
            // Nobody waits any more.
            let _ = send.send(outcome);
        })?;
        Ok(Self {
            ends: Instant::now() + takes,
            file,
            outcome,
        })
    }

    /// Returns whether any of the trace has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.len() > 0)
    }

    /// Waits for the end of the trace, but for a moment alone if the recording has ended early or a
    /// signal comes. Fails with the reason that the trace is not whole.
    pub(crate) fn finish(&self, interrupt: &mut Interrupt) -> Result<(), String> {
        let now = Instant::now();
        let late = match self.ends.checked_duration_since(now + GRACE) {
            Some(_) => now + GRACE,
            None => self.ends + SLACK,
        };
        loop {
            match self.outcome.recv_timeout(GLANCE) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err("it was not read".to_owned()),
                Err(RecvTimeoutError::Timeout) => (),
            }
            let interrupted = interrupt.wait(Duration::ZERO).is_ok_and(|s| s.is_some());
            if interrupted || Instant::now() >= late {
                return Err("the recording has ended before it".to_owned());
            }
        }
    }
}

fn fetch(url: &str, takes: Duration, mut file: File, room: u64) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let url = match uri.path_and_query().map(PathAndQuery::as_str) {
        None | Some("/") => format!("{}{PATH}", url.trim_end_matches('/')),
        Some(_) => url.to_owned(),
    };
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(takes + SLACK))
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let answer = agent
        .get(&url)
        .query("seconds", takes.as_secs_f64().to_string())
        .call()
        .map_err(|error| match error {
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        })?;
    let status = answer.status();
    let mut body = answer.into_body().into_reader();
    if status != 200 {
        return Err(format!("it answers {status}{}", said(body)));
    }
    let mut start = Vec::new();
    body.by_ref()
        .take(MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(|error| error.to_string())?;
    let is_trace = start == MAGIC;
    let body = start.as_slice().chain(body);
    if !is_trace {
        return Err(format!("it answers with no trace{}", said(body)));
    }
    let mut trace = body.take(room);
    io::copy(&mut trace, &mut file).map_err(|error| error.to_string())?;
    match trace.limit() {
        0 => Err("its size was used up, see --max-size".to_owned()),
        _ => Ok(()),
    }
}

/// Returns what a server says instead of a trace, on its first line.
fn said(body: impl Read) -> String {
    let mut bytes = Vec::new();
    // What can be read of it.
    let _ = body.take(MOST_SAID).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    match text.lines().next().map(str::trim) {
        None | Some("") => String::new(),
        Some(line) => format!(": {}", printable(line)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Fetches from a server that gives one answer. Returns the outcome, the file, and what the
    /// server was asked for.
    fn fetch_from(
        path: &str,
        answer: &'static str,
        room: u64,
    ) -> (Result<(), String>, String, String) {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("it has one");
        let asked = thread::spawn(move || {
            let (mut client, _) = server.accept().expect("somebody asks");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).expect("a request");
                asked.extend(byte);
            }
            client.write_all(answer.as_bytes()).expect("it is read");
            String::from_utf8(asked).expect("UTF-8")
        });
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("trace");
        let file = File::create(&to).expect("room");
        let outcome = fetch(&format!("http://{address}{path}"), SECOND / 2, file, room);
        // The server shall not wait for ever for one that has not come.
        drop(TcpStream::connect(address));
        let kept = std::fs::read_to_string(to).expect("UTF-8");
        let asked = asked.join().expect("it answers");
        let line = asked.lines().next().expect("a line").to_owned();
        (outcome, kept, line)
    }

    #[test]
    fn a_server_is_asked_for_the_time_of_the_recording() {
        const WHOLE: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\ngo \r\n4\r\n1.22\r\n0\r\n\r\n";
        for (path, asked) in [
            ("", "GET /debug/pprof/trace?seconds=0.5 HTTP/1.1"),
            ("/", "GET /debug/pprof/trace?seconds=0.5 HTTP/1.1"),
            ("/my?key=1", "GET /my?key=1&seconds=0.5 HTTP/1.1"),
            ("/?key=1", "GET /?key=1&seconds=0.5 HTTP/1.1"),
        ] {
            let (outcome, kept, line) = fetch_from(path, WHOLE, 100);
            assert_eq!((outcome, kept.as_str()), (Ok(()), "go 1.22"));
            assert_eq!(line, asked);
        }
    }

    #[test]
    fn servers_are_asked_without_tls() {
        for url in [
            "http://localhost:6060",
            "http://[::1]:6060/debug/pprof/trace",
        ] {
            assert!(is_askable(url), "{url}");
        }
        for url in [
            "https://localhost",
            "http://",
            "http:///trace",
            "http://a b",
            "trace",
        ] {
            assert!(!is_askable(url), "{url}");
        }
    }

    #[test]
    fn what_is_no_trace_or_not_all_of_it_is_said() {
        for (answer, kept, reason) in [
            (
                "HTTP/1.1 500 Oh\r\nContent-Length: 11\r\n\r\ntracing\u{1b}\nno",
                "",
                "it answers 500 Internal Server Error: tracing?",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                "",
                "it answers 302 Found",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ngo 1.2\r\n",
                "go 1.2",
                "",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngo 1.2",
                "go 1.2",
                "",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngo 1.22 t",
                "go 1.2",
                "used up",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>\nSign in",
                "",
                "it answers with no trace: <html>",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ngo ",
                "",
                "it answers with no trace: go",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "", ""),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "",
                "it answers with no trace",
            ),
            ("SSH-2.0-OpenSSH\r\n", "", ""),
            ("", "", ""),
        ] {
            let (outcome, found, _) = fetch_from("", answer, 6);
            let error = outcome.expect_err(answer);
            assert_eq!(found, kept, "{answer}");
            assert!(!error.is_empty() && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_server_that_is_silent_is_not_waited_for_when_the_recording_ends_early() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", server.local_addr().expect("it has one"));
        let file = tempfile::tempfile().expect("a file");
        let fetch = Fetch::start(&url, 60 * SECOND, file, 100).expect("a thread");
        let mut interrupt = Interrupt::catch().expect("signals can be caught");
        let start = Instant::now();
        assert!(fetch.finish(&mut interrupt).is_err());
        assert!(start.elapsed() < 30 * SECOND);
    }
}
