//! A stream of bytes as lines: the gateway writes a message a line. Pure.

/// What came and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    from: usize,
    /// Up to where there is no end of it.
    searched: usize,
}

impl Lines {
    /// Takes what came.
    ///
    /// # Errors
    /// More than `most` bytes that nobody took.
    pub(super) fn push(&mut self, bytes: &[u8], most: usize) -> Result<(), String> {
        self.bytes.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        if self.bytes.len() + bytes.len() > most {
            return Err(format!("it says more than {} MiB at once", most >> 20));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole line, without its end; empty ones are passed over.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(at) = self.bytes.iter().skip(self.searched).position(|byte| *byte == b'\n') else {
                self.searched = self.bytes.len();
                return None;
            };
            let end = self.searched + at;
            let line = self.bytes.get(self.from..end).filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
            (self.from, self.searched) = (end + 1, end + 1);
            if line.is_some() {
                return line;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        lines.push(b"0123", 5).unwrap();
        assert_eq!(lines.push(b"45", 5), Err("it says more than 0 MiB at once".into()));
    }

    proptest! {
        /// However the bytes come, the lines are the same.
        #[test]
        fn chunks_do_not_matter(text in "[ab\n]{0,40}", sizes in prop::collection::vec(1_usize..5, 40)) {
            let mut lines = Lines::default();
            let (mut rest, mut found) = (text.as_bytes(), Vec::new());
            for size in sizes {
                let (chunk, later) = rest.split_at(size.min(rest.len()));
                lines.push(chunk, 100).unwrap();
                found.extend(std::iter::from_fn(|| lines.next()));
                rest = later;
            }
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let expected: Vec<_> = whole.split('\n').filter(|line| !line.is_empty()).map(Vec::from).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
