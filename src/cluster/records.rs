//! What every node says of itself: the newest record of each, as bytes and as read.
//!
//! Pure. The bytes are kept as they came and handed on as they came, so that fields which this version does
//! not know reach those that do. It must not know how records travel.

mod bad;
mod wire;

use std::collections::{BTreeMap, btree_map};

use bytes::Bytes;

pub use bad::BadRecord;
pub use wire::{RecordError, decode, encode};

use super::{exchange::Age, message::RecordId};
use crate::model::{NodeName, RawRecord};

/// The largest record, in bytes.
pub const MAX_RECORD: usize = 4096;

/// A record as it came, and as this version reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The bytes, unknown fields included.
    pub bytes: Bytes,
    /// What this version reads in them.
    pub record: RawRecord,
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the newest now.
    New,
    /// One as new or newer was here.
    Stale,
}

/// The newest record of each node. Bounded by its user, who takes records of members only.
#[derive(Clone, Debug, Default)]
pub struct Records {
    newest: BTreeMap<NodeName, Stored>,
}

impl Records {
    /// The newest record of a node.
    pub fn get(&self, node: &NodeName) -> Option<&Stored> {
        self.newest.get(node)
    }

    /// How far a node's record has come.
    pub fn age(&self, node: &NodeName) -> Option<Age> {
        self.get(node).map(|stored| stored.record.age())
    }

    /// How far every node's record has come.
    pub fn ages(&self) -> BTreeMap<NodeName, Age> {
        self.newest.iter().map(|(name, stored)| (name.clone(), stored.record.age())).collect()
    }

    /// Takes a record of `node` if it is newer than what is here.
    pub fn offer(&mut self, node: &NodeName, stored: Stored) -> Taken {
        match self.newest.entry(node.clone()) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(stored);
                Taken::New
            }
            btree_map::Entry::Occupied(mut entry) if entry.get().record.age() < stored.record.age() => {
                entry.insert(stored);
                Taken::New
            }
            btree_map::Entry::Occupied(_) => Taken::Stale,
        }
    }

    /// Forgets what a node said.
    pub fn forget(&mut self, node: &NodeName) {
        self.newest.remove(node);
    }

    /// The records that somebody lacks who has those of `ages`.
    pub fn lacking(&self, ages: &BTreeMap<NodeName, Age>) -> impl Iterator<Item = &Stored> {
        self.newest.iter().filter(|(name, stored)| ages.get(*name) < Some(&stored.record.age())).map(|(_, s)| s)
    }
}

impl Stored {
    /// Reads a record that came as bytes.
    pub fn read(bytes: Bytes) -> Result<(NodeName, Self), BadRecord> {
        let named = |record: RawRecord| match record.node.parse() {
            Ok(node) => Ok((node, record)),
            Err(_) => Err(RecordError::Name),
        };
        match decode(&bytes).and_then(named) {
            Ok((node, record)) => Ok((node, Self { bytes, record })),
            Err(why) => Err(BadRecord::new(&bytes, why)),
        }
    }

    /// Which version of which record it is.
    pub fn id(&self) -> RecordId {
        let (epoch, version) = self.record.age();
        RecordId { node: self.record.node.clone(), epoch, version }
    }
}
