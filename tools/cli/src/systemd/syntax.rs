// SPDX-License-Identifier: GPL-2.0

//! The syntax of unit files, as systemd itself reads it: see systemd.syntax(7), and
//! "Command lines" in systemd.service(5).
//!
//! systemd shows units with all drop-ins in force, and commands without their quotes, so
//! that neither `systemctl show` nor `systemd-analyze` replaces reading them.

use std::mem;

const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Returns the assignments of the section `[Service]` of a unit file, in their order, up to the
/// first line that systemd refuses.
pub(super) fn settings(file: &[u8]) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut in_service = false;
    for line in logical_lines(file).into_iter().map_while(readable) {
        let line = line.trim_matches(WHITESPACE);
        if line.starts_with('[') {
            in_service = line == "[Service]";
        } else if let (true, Some((key, value))) = (in_service, line.split_once('=')) {
            let [key, value] = [key, value].map(|text| text.trim_matches(WHITESPACE).to_owned());
            settings.push((key, value));
        }
    }
    settings
}

/// Returns whether systemd refuses no line of a unit file.
pub(super) fn is_readable(file: &[u8]) -> bool {
    let lines = logical_lines(file);
    lines.into_iter().all(|line| readable(line).is_some())
}

/// Returns the text of a line, unless systemd reads a file no further than that.
fn readable(line: Vec<u8>) -> Option<String> {
    let line = String::from_utf8(line).ok()?;
    let text = line.trim_matches(WHITESPACE);
    (!text.starts_with('[') || text.ends_with(']')).then_some(line)
}

/// Reads a boolean value as systemd does.
pub(super) fn boolean(value: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    match value {
        _ if is(&["1", "yes", "y", "true", "t", "on"]) => Some(true),
        _ if is(&["0", "no", "n", "false", "f", "off"]) => Some(false),
        _ => None,
    }
}

/// Joins the lines that a backslash continues, and leaves out comments.
fn logical_lines(file: &[u8]) -> Vec<Vec<u8>> {
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut last = 0;
    for part in file.split_inclusive(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        let (end, text) = match part.split_last() {
            Some((end @ (b'\n' | b'\r' | 0), text)) => (*end, text),
            _ => (b'\n', part),
        };
        // Both ends are one.
        if (mem::replace(&mut last, end), part) == (b'\r', b"\n") {
            continue;
        }
        // A comment does not end a continued line.
        let first = text.iter().find(|byte| !b" \t".contains(byte));
        if matches!(first, Some(b'#' | b';')) {
            continue;
        }
        line.extend_from_slice(text);
        // A backslash that another one escapes continues nothing.
        let backslashes = line.iter().rev().take_while(|byte| **byte == b'\\');
        if backslashes.count() % 2 == 1 {
            line.pop();
            line.push(b' ');
        } else {
            lines.push(mem::take(&mut line));
        }
    }
    lines.push(line);
    lines
}

/// Returns the text from its first character on that is no white space.
pub(super) fn trim_start(text: &str) -> &str {
    text.trim_start_matches(WHITESPACE)
}

/// Returns the first word without quotes and escapes, and what follows the word and the
/// white space after it; `None` if a quote has no end.
pub(super) fn first_word(text: &str) -> Option<(String, &str)> {
    let mut word = Vec::new();
    let mut quote = None;
    let mut rest = trim_start(text);
    while let Some(c) = rest.chars().next() {
        let at = rest;
        rest = &rest[c.len_utf8()..];
        match (quote, c) {
            (_, '\\') => rest = unescape(rest, &mut word),
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, _) if WHITESPACE.contains(&c) => break,
            _ => word.extend_from_slice(&at.as_bytes()[..c.len_utf8()]),
        }
    }
    let word = String::from_utf8(word).ok()?;
    quote.is_none().then(|| (word, trim_start(rest)))
}

/// Returns the words of a list, as far as systemd can tell them apart.
pub(super) fn words(mut text: &str) -> Vec<String> {
    let mut words = Vec::new();
    while !trim_start(text).is_empty() {
        let Some((word, rest)) = first_word(text) else {
            break;
        };
        words.push(word);
        text = rest;
    }
    words
}

/// Appends what an escape stands for, of which `text` has what follows the backslash.
/// Returns what follows the escape.
fn unescape<'a>(text: &'a str, word: &mut Vec<u8>) -> &'a str {
    let number = |from: usize, length: usize, radix| {
        let digits = text.get(from..from + length)?;
        let valid = digits.chars().all(|digit| digit.is_digit(radix));
        let number = u32::from_str_radix(digits, radix).ok();
        number.filter(|number| valid && *number != 0)
    };
    let byte = |number: u32| u8::try_from(number).ok().map(|byte| vec![byte]);
    let character = |number| char::from_u32(number).map(|c| c.to_string().into_bytes());
    let first = text.chars().next();
    let (length, value) = match first {
        Some('a') => (1, Some(vec![7])),
        Some('b') => (1, Some(vec![8])),
        Some('f') => (1, Some(vec![12])),
        Some('n') => (1, Some(vec![b'\n'])),
        Some('r') => (1, Some(vec![b'\r'])),
        Some('t') => (1, Some(vec![b'\t'])),
        Some('v') => (1, Some(vec![11])),
        Some('s') => (1, Some(vec![b' '])),
        Some('\\' | '"' | '\'') => (1, Some(text.as_bytes()[..1].to_vec())),
        Some('x') => (3, number(1, 2, 16).and_then(byte)),
        Some('u') => (5, number(1, 4, 16).and_then(character)),
        Some('U') => (9, number(1, 8, 16).and_then(character)),
        Some('0'..='7') => (3, number(0, 3, 8).and_then(byte)),
        _ => (0, None),
    };
    match value {
        Some(value) => {
            word.extend(value);
            &text[length..]
        }
        // systemd warns of an unknown escape, and takes it as it is.
        None => {
            let length = first.map_or(0, char::len_utf8);
            word.push(b'\\');
            word.extend_from_slice(&text.as_bytes()[..length]);
            &text[length..]
        }
    }
}

/// Returns `word` as one that [`first_word`] reads back.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_control() && !WHITESPACE.contains(&c) && !"\"'\\;".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            _ if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let settings = settings(format!("[Service]\n{text}").as_bytes());
        settings.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn a_line_ends_where_systemd_ends_it() {
        for (text, expected) in [
            ("A=b \\\n# why\n  ; why\n c", &["b   c"][..]),
            ("A=b \\\\\nB=c", &["b \\\\", "c"]),
            ("A=b \\\\\\\nB=c", &["b \\\\ B=c"]),
            ("A=b \\ \nB=c", &["b \\", "c"]),
            ("A=b \\\n\nB=c", &["b", "c"]),
            ("A=b \\\r\nc\r\nB=d", &["b  c", "d"]),
            ("A=b\rB=c", &["b", "c"]),
            ("A=b \\", &["b"]),
            (" A = b = c ", &["b = c"]),
            ("A=", &[""]),
            ("A\nB=c", &["c"]),
            ("[Unit]\nA=b\n[Service]\nB=c\n[service]\nC=d", &["c"]),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_file() {
        let file = "\u{feff}[Service]\nA=b";
        assert_eq!(settings(file.as_bytes()).len(), 1);
    }

    #[test]
    fn a_file_is_read_up_to_a_line_that_systemd_refuses() {
        for rest in [
            &b"A=\xff\nB=c"[..],
            b"A=b \\\n\xff\nB=c",
            b"[Service\nB=c",
            b"[Unit]\nA=\xff\n[Service]\nB=c",
        ] {
            let file = [b"[Service]\n# \xff\nA=\xef\xbf\xbd\n", rest].concat();
            let of_file = settings(&file);
            assert_eq!(of_file, [("A".to_owned(), "\u{fffd}".to_owned())]);
            assert!(!is_readable(&file));
        }
    }

    #[test]
    fn a_word_has_no_quotes_and_no_escapes() {
        for (text, word, rest) in [
            ("a b", "a", "b"),
            ("  a \t b  c", "a", "b  c"),
            ("\"a b\"'c d'e f", "a bc de", "f"),
            (r"a\x20b\s\t\101\u00e4 c", "a b \tA\u{e4}", "c"),
            (r#""a\"b" c"#, "a\"b", "c"),
            (r"a\q\", "a\\q\\", ""),
        ] {
            assert_eq!(first_word(text), Some((word.to_owned(), rest)), "{text}");
        }
        for text in ["\"a", "'a b", "\"a\\\""] {
            assert_eq!(first_word(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_reads_as_it_was() {
        for word in ["a", "", "a b", "a\"b'c", "a\\b", "a;b", "\n\u{e4}"] {
            let text = quoted(word);
            assert_eq!(first_word(&text), Some((word.to_owned(), "")), "{text}");
        }
    }
}
