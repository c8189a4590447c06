//! What a handler prints, both its streams as one: logged line by line, and no more of it than anybody reads.

use std::{fs::File, io, os::fd::OwnedFd};

use tokio::{io::AsyncReadExt, net::unix::pipe};

use crate::model::words::escaped;

/// The longest line that is logged, in bytes; what comes behind it is left out.
const LINE: usize = 500;
/// The lines of one call that are logged.
const LINES: usize = 50;

/// The output of one call.
pub(super) struct Output<F> {
    pipe: pipe::Receiver,
    lines: Lines<F>,
}

/// Lines out of bytes, each given to `log`.
struct Lines<F> {
    log: F,
    line: Vec<u8>,
    told: usize,
    left_out: u64,
}

impl<F: FnMut(&str)> Output<F> {
    /// Both streams' end of a pipe, for the handler, and what reads the other.
    pub(super) fn new(log: F) -> io::Result<(OwnedFd, Self)> {
        let (reader, writer) = io::pipe()?;
        let pipe = pipe::Receiver::from_file(File::from(OwnedFd::from(reader)))?;
        Ok((writer.into(), Self { pipe, lines: Lines { log, line: Vec::new(), told: 0, left_out: 0 } }))
    }

    /// Reads until nobody holds the other end any more. Cancel-safe.
    pub(super) async fn read(&mut self) {
        let mut bytes = [0; 4096];
        // An error ends the reading as the end of the stream does: the exit status speaks for the handler.
        while let Ok(count @ 1..) = self.pipe.read(&mut bytes).await {
            self.lines.take(&bytes[..count]);
        }
    }
}

impl<F> Output<F>
where
    F: FnMut(&str),
{
    /// Logs what is left, and that there was more.
    pub(super) fn end(mut self) {
        self.lines.end();
    }
}

impl<F: FnMut(&str)> Lines<F> {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.tell();
            } else if self.told < LINES && self.line.len() < LINE {
                self.line.push(*byte);
            } else {
                self.left_out += 1;
            }
        }
    }

    fn tell(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = escaped(&String::from_utf8_lossy(&line), LINE);
        if self.told < LINES && !line.trim().is_empty() {
            self.told += 1;
            (self.log)(&line);
        }
    }

    fn end(&mut self) {
        self.tell();
        if self.left_out > 0 {
            (self.log)(&format!("… {} bytes of its output are left out", self.left_out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]]) -> Vec<String> {
        let mut told = Vec::new();
        let log = |line: &str| told.push(line.to_owned());
        let mut lines = Lines { log, line: Vec::new(), told: 0, left_out: 0 };
        chunks.iter().for_each(|chunk| lines.take(chunk));
        lines.end();
        told
    }

    #[test]
    fn lines_are_told_as_they_come_and_within_bounds() {
        assert_eq!(check(&[b"a\nb", b"c\n\n", b"d"]), ["a", "bc", "d"]);
        assert_eq!(check(&[b"\x1b[31m\xff\r\n"]), ["\\u{1b}[31m\u{fffd}\\r"]);
        let long = [b'x'; 1000];
        assert_eq!(check(&[&long]), ["x".repeat(500), "… 500 bytes of its output are left out".to_owned()]);
        let many = check(&[&b"y\n".repeat(10_000)]);
        assert_eq!((many.len(), many.last().unwrap().as_str()), (51, "… 9950 bytes of its output are left out"));
    }
}
