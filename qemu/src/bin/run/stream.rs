// SPDX-License-Identifier: GPL-2.0

//! Copying of the command's output, whose end differs from that of a guest that broke.

use std::io;
use std::io::Read;
use std::io::Write;

/// Copies `from` to `to` up to `token`, which is not copied. Fails with
/// `UnexpectedEof` if the stream ends without `token`.
///
/// Bytes are written as soon as they are read, except those that may begin the token.
pub(crate) fn copy_until(token: &[u8], mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut held = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        held.extend_from_slice(&buffer[..count]);
        if let Some(output) = held.strip_suffix(token) {
            to.write_all(output)?;
            return to.flush();
        }
        let keep = if count == 0 { 0 } else { partial(&held, token) };
        to.write_all(&held[..held.len() - keep])?;
        to.flush()?;
        held.drain(..held.len() - keep);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns the number of bytes at the end of `output` that are a beginning of `token`.
fn partial(output: &[u8], token: &[u8]) -> usize {
    (1..token.len())
        .rev()
        .find(|&count| output.ends_with(&token[..count]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::io::Read;

    use super::copy_until;

    /// A reader that returns one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn the_token_ends_the_stream_and_is_not_copied() {
        for stream in [&b"out\xff\x00TOKEN"[..], b"TTOKTOKEN", b"TOKEN"] {
            let mut output = Vec::new();
            copy_until(b"TOKEN", Drip(stream), &mut output).expect("token");
            assert_eq!(output, &stream[..stream.len() - 5]);
        }
    }

    #[test]
    fn a_stream_without_the_token_is_copied_and_fails() {
        let mut output = Vec::new();
        let error = copy_until(b"TOKEN", &b"outTOK"[..], &mut output).expect_err("no token");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(output, b"outTOK");
    }
}
