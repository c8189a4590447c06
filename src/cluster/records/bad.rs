//! Bytes that are no record, and whose record they were to be: so that people are told who says what nobody
//! understands. Nothing that is made out here goes anywhere but into that message and the choice of its member.

use minicbor::{Decoder, decode};

use super::{MAX_RECORD, wire::RecordError};
use crate::{cluster::exchange::Age, model::NodeName};

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadRecord {
    /// What is wrong with them.
    pub why: RecordError,
    /// Whose record they say they are, as far as that can be made out.
    pub of: Option<NodeName>,
    /// How far that record has come by their own word.
    pub age: Option<Age>,
}

impl BadRecord {
    /// Makes out what it can. The three fields come first in what all versions write.
    pub(super) fn new(bytes: &[u8], why: RecordError) -> Self {
        let mut read = Read::default();
        // The fault is known already: what was read before it counts.
        let _fault = read.fields(bytes.get(..MAX_RECORD).unwrap_or(bytes));
        Self { why, of: read.node, age: read.epoch.zip(read.version) }
    }
}

#[derive(Default)]
struct Read {
    node: Option<NodeName>,
    epoch: Option<u64>,
    version: Option<u64>,
}

impl Read {
    fn fields(&mut self, bytes: &[u8]) -> Result<(), decode::Error> {
        let mut d = Decoder::new(bytes);
        // Each turn takes bytes or fails, whatever length is claimed.
        for _ in 0..d.map()?.unwrap_or_default() {
            match d.u32()? {
                0 => self.node = d.str()?.parse().ok(),
                1 => self.epoch = Some(d.u64()?),
                2 => self.version = Some(d.u64()?),
                _ => d.skip()?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is made out of these bytes: whose record, and how far it has come.
    fn check(bytes: &[u8], of: Option<&str>, age: Option<Age>) {
        let bad = BadRecord::new(bytes, RecordError::Name);
        assert_eq!((bad.of.as_ref().map(NodeName::as_str), bad.age), (of, age), "{}", hex::encode(bytes));
    }

    #[test]
    fn what_comes_before_the_fault_is_made_out() {
        let head = hex::decode("a50064776562310107 0202".replace(' ', "")).unwrap();
        let with = |tail: &[u8]| [head.as_slice(), tail].concat();
        check(&with(&[]), Some("web1"), Some((7, 2)));
        check(&with(&[5, 0xff]), Some("web1"), Some((7, 2)));
        check(&with(&[5, 0x80]), Some("web1"), Some((7, 2)));
        check(&head[..9], Some("web1"), None);
        check(&hex::decode("a2006361 3b62 0107".replace(' ', "")).unwrap(), None, None);
        check(b"", None, None);
        check(b"\xff garbage", None, None);
        check(&[0xbf, 0, 0x61, b'a'], None, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(BadRecord::new(&bytes, RecordError::Name));
        }
    }
}
