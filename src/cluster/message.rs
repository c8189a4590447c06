//! What one datagram holds, once its envelope is opened: a packet of foca's, or a message of ours.
//!
//! The first byte says which; what follows in ours is CBOR with numbered fields, of which unknown ones are
//! skipped: version N reads N−1 and N+1. Pure; knows neither sockets nor keys.

use bytes::Bytes;
use minicbor::{Decode, Encode, bytes::ByteSlice};

use super::{cbor, identity::Identity};

/// Which version of which record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(map)]
pub struct RecordId {
    /// Whose. Raw: it names nothing until a member of this name is found.
    #[n(0)]
    pub node: String,
    /// Of which life.
    #[n(1)]
    pub epoch: u64,
    /// Which version within that life.
    #[n(2)]
    pub version: u64,
}

/// What one datagram holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A packet of foca's own.
    Foca(&'a [u8]),
    /// A record, straight from the node that it is of. Answered with [`Message::Ack`].
    Push(Push<'a>),
    /// The record, or a newer one, is here.
    Ack(Ack),
    /// A record too large for a datagram has changed: to be pulled. Answered with [`Message::Ack`] once it is here.
    Announce(Announce),
    /// Do you live? Answered with [`Message::Pong`] by the node that is asked, and no other.
    Ping(Ping),
    /// I live.
    Pong(Pong),
    /// Your name is held by another node: beside foca's notice to somebody who was declared down.
    Held(Held),
}

/// See [`Message::Push`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Push<'a> {
    /// Who sends it: so that a member is known together with its record.
    #[n(0)]
    pub from: Identity,
    /// The record's bytes.
    #[b(1)]
    pub record: &'a ByteSlice,
}

/// See [`Message::Ack`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ack {
    /// Who has it.
    #[n(0)]
    pub from: Identity,
    /// What it has.
    #[n(1)]
    pub id: RecordId,
}

/// See [`Message::Announce`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Announce {
    /// Who announces it: where it can be pulled from.
    #[n(0)]
    pub from: Identity,
    /// What is new.
    #[n(1)]
    pub id: RecordId,
}

/// See [`Message::Ping`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ping {
    /// Who is asked.
    #[n(0)]
    pub to: Identity,
    /// Comes back in the answer.
    #[n(1)]
    pub token: u64,
}

/// See [`Message::Pong`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Pong {
    /// Who answers.
    #[n(0)]
    pub from: Identity,
    /// Of the question.
    #[n(1)]
    pub token: u64,
}

/// See [`Message::Held`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Held {
    /// Who holds the name.
    #[n(0)]
    pub holder: Identity,
}

/// Why a datagram was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nothing in it.
    #[error("empty")]
    Empty,
    /// A kind that this version does not know: perhaps of a later one.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// The bytes are not of the kind that they say.
    #[error("malformed: {0}")]
    Malformed(String),
}

const FOCA: u8 = 0;
const PUSH: u8 = 1;
const ACK: u8 = 2;
const ANNOUNCE: u8 = 3;
const PING: u8 = 4;
const PONG: u8 = 5;
const HELD: u8 = 6;

impl Message<'_> {
    /// The bytes of the message.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Foca(packet) => [&[FOCA], *packet].concat().into(),
            Self::Push(body) => cbor::behind(&[PUSH], body).into(),
            Self::Ack(body) => cbor::behind(&[ACK], body).into(),
            Self::Announce(body) => cbor::behind(&[ANNOUNCE], body).into(),
            Self::Ping(body) => cbor::behind(&[PING], body).into(),
            Self::Pong(body) => cbor::behind(&[PONG], body).into(),
            Self::Held(body) => cbor::behind(&[HELD], body).into(),
        }
    }
}

impl<'a> Message<'a> {
    /// Reads one datagram's payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, MessageError> {
        let (kind, body) = payload.split_first().ok_or(MessageError::Empty)?;
        match *kind {
            FOCA => Ok(Self::Foca(body)),
            PUSH => read(body).map(Self::Push),
            ACK => read(body).map(Self::Ack),
            ANNOUNCE => read(body).map(Self::Announce),
            PING => read(body).map(Self::Ping),
            PONG => read(body).map(Self::Pong),
            HELD => read(body).map(Self::Held),
            unknown => Err(MessageError::Kind(unknown)),
        }
    }
}

fn read<'a, T: Decode<'a, ()>>(body: &'a [u8]) -> Result<T, MessageError> {
    minicbor::decode(body).map_err(|e| MessageError::Malformed(e.to_string()))
}

#[cfg(test)]
mod tests;
