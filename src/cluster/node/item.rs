//! What rides with foca's packets: a record, or word that there is one. One byte says which; the rest is
//! CBOR.

use bytes::Bytes;

use crate::cluster::{
    cbor,
    message::RecordId,
    records::{BadRecord, Stored},
};
use crate::model::NodeName;

const RECORD: u8 = 0;
const NEWS: u8 = 1;

/// A broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A record.
    Record(NodeName, Stored),
    /// Word that there is this version of a record: it is too large to ride along.
    News(NodeName, RecordId),
}

/// Why bytes are no broadcast.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ItemError {
    /// The record in it is none.
    #[error(transparent)]
    Record(#[from] BadRecord),
    /// It is nothing that this version knows.
    #[error("malformed")]
    Malformed,
}

impl Item {
    pub(super) fn id(&self) -> RecordId {
        match self {
            Self::Record(_, stored) => stored.id(),
            Self::News(_, id) => id.clone(),
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        match self {
            Self::Record(_, stored) => [&[RECORD], stored.bytes.as_ref()].concat(),
            Self::News(_, id) => cbor::behind(&[NEWS], id),
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Item, ItemError> {
    match bytes.split_first() {
        Some((&RECORD, record)) => {
            let (node, stored) = Stored::read(Bytes::copy_from_slice(record))?;
            Ok(Item::Record(node, stored))
        }
        Some((&NEWS, news)) => {
            let id: RecordId = minicbor::decode(news).map_err(|_| ItemError::Malformed)?;
            let node = id.node.parse().map_err(|_| ItemError::Malformed)?;
            Ok(Item::News(node, id))
        }
        _ => Err(ItemError::Malformed),
    }
}
