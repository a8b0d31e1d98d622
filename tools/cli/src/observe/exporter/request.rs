// SPDX-License-Identifier: GPL-2.0

//! Requests of HTTP, and answers.

use std::fmt::Display;
use std::net::IpAddr;

use super::text::Format;

/// The longest request, in bytes.
pub(super) const LONGEST: usize = 8 << 10;

/// The most headers of a request.
const HEADERS: usize = 64;

/// The only thing that there is.
pub(super) const PATH: &str = "/metrics";

/// The reason that a request gets no figures.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: &'static str,
    /// Header lines, each with its end.
    headers: &'static str,
    reason: String,
}

impl Refusal {
    fn new(status: &'static str, reason: impl Display) -> Self {
        Self {
            status,
            headers: "",
            reason: reason.to_string(),
        }
    }

    /// Returns the refusal of figures that cannot be read.
    pub(super) fn unreadable(reason: impl Display) -> Self {
        Self::new("500 Internal Server Error", reason)
    }
}

/// Returns the form that a request wants the figures in; `None` if more of it is to come. With
/// `is_tcp`, a browser may have sent it.
pub(super) fn judge(bytes: &[u8], is_tcp: bool) -> Option<Result<Format, Refusal>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Some(judge_whole(&request, is_tcp)),
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            let reason =
                format_args!("a request has at most {LONGEST} bytes and {HEADERS} headers");
            let status = "431 Request Header Fields Too Large";
            Some(Err(Refusal::new(status, reason)))
        }
        Err(error) => {
            let reason = format_args!("this is no request of HTTP/1.1: {error}");
            Some(Err(Refusal::new("400 Bad Request", reason)))
        }
    }
}

fn judge_whole(request: &httparse::Request<'_, '_>, is_tcp: bool) -> Result<Format, Refusal> {
    let values = |name| {
        let headers = request.headers.iter();
        let headers = headers.filter(move |header| header.name.eq_ignore_ascii_case(name));
        headers.map(|header| String::from_utf8_lossy(header.value))
    };
    // A page of another site can have its own name stand for this machine, and would read the answer.
    if is_tcp && !values("host").all(|host| is_this_machine(&host)) {
        return Err(Refusal::new(
            "403 Forbidden",
            "the header Host names another machine: ask for localhost or 127.0.0.1",
        ));
    }
    let path = request.path.unwrap_or_default();
    if path.split('?').next() != Some(PATH) {
        let reason = format_args!("there is {PATH} alone");
        Err(Refusal::new("404 Not Found", reason))
    } else if request.method != Some("GET") {
        Err(Refusal {
            headers: "Allow: GET\r\n",
            ..Refusal::new("405 Method Not Allowed", "there is GET alone")
        })
    } else if values("accept").any(|kinds| kinds.contains(Format::OPEN_METRICS)) {
        Ok(Format::OpenMetrics)
    } else {
        Ok(Format::Plain)
    }
}

/// Returns whether a host, which may have a port, is `localhost` or a loopback address.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    let address = address.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Returns an answer of HTTP, after which the connection ends.
pub(super) fn answer(format: Format, text: &str) -> String {
    write("200 OK", format.content_type(), "", text)
}

/// Returns an answer without figures.
pub(super) fn refuse(refusal: &Refusal) -> String {
    let body = format!("{}\n", refusal.reason);
    let content_type = "text/plain; charset=utf-8";
    write(refusal.status, content_type, refusal.headers, &body)
}

fn write(status: &str, content_type: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the answer to a request that comes to a port.
    fn ask(request: &str) -> String {
        let judged = judge(request.as_bytes(), true).expect("it is whole");
        match judged {
            Ok(format) => answer(format, "figures"),
            Err(refusal) => refuse(&refusal),
        }
    }

    #[test]
    fn figures_come_in_the_form_that_is_asked_for() {
        let prometheus = "GET /metrics HTTP/1.1\r\nHost: localhost:19273\r\n\
                          accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n\r\n";
        for (request, content_type) in [
            (prometheus, "application/openmetrics-text; version=1.0.0"),
            (
                "GET /metrics?x=/ HTTP/1.0\r\n\r\n",
                "text/plain; version=0.0.4",
            ),
        ] {
            let answer = ask(request);
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            let header = format!("\r\nContent-Type: {content_type}; charset=utf-8\r\n");
            assert!(answer.contains(&header), "{answer}");
            assert!(answer.contains("\r\nContent-Length: 7\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nfigures"), "{answer}");
        }
        assert_eq!(judge(b"GET /metrics HTTP/1.1\r\n", true), None);
    }

    #[test]
    fn what_is_no_request_for_the_figures_is_refused_with_a_reason() {
        let huge = format!("GET /metrics HTTP/1.1\r\nX: {}", "a".repeat(LONGEST));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(65));
        for (request, status, reason) in [
            ("GET / HTTP/1.1\r\n\r\n", "404", "/metrics alone"),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", "404", "/metrics alone"),
            ("GET http://x/metrics HTTP/1.1\r\n\r\n", "404", "alone"),
            ("POST /metrics HTTP/1.1\r\n\r\nx", "405", "Allow: GET\r\n"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "405", "GET alone"),
            (&huge[..LONGEST], "431", "8192 bytes"),
            (&many, "431", "64 headers"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "HTTP"),
            ("\u{1b}[31m\0\r\n\r\n", "400", "HTTP"),
        ] {
            let answer = ask(request);
            let expected = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&expected), "{request:?}: {answer}");
            assert!(answer.contains(reason), "{request:?}: {answer}");
        }
    }

    #[test]
    fn the_page_of_another_site_gets_no_figures() {
        let whole = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts
                .iter()
                .map(|host| format!("host: {host}\r\n"))
                .collect();
            format!("GET /metrics HTTP/1.1\r\n{}\r\n", hosts.concat())
        };
        let own = [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:19273",
            "[::1]",
            "[::1]:1",
        ];
        for host in own {
            assert!(ask(&whole(&[host])).contains(" 200 OK"), "{host}");
        }
        for hosts in [
            &["evil.example"][..],
            &["evil.example:19273"],
            &["127.0.0.1.evil.example"],
            &["localhost.evil.example:80"],
            &["10.0.0.1"],
            &["localhost", "evil.example"],
            &["\u{e9}"],
            &[""],
        ] {
            let request = whole(hosts);
            assert!(ask(&request).contains(" 403 "), "{hosts:?}");
            // No browser connects to a socket in the file system.
            assert_eq!(
                judge(request.as_bytes(), false),
                Some(Ok(Format::Plain)),
                "{hosts:?}"
            );
        }
    }
}
