//! foca's packets, read before foca reads them: it takes an update about its own name from anybody, and
//! its broadcasts end in a handler that nothing can be asked of.

use bytes::{Buf, BufMut, Bytes};
use foca::{Codec, Header, Member, PostcardCodec};

use crate::cluster::identity::Identity;

/// A packet of foca's in its parts.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) header: Header<Identity>,
    /// What it says of members.
    pub(super) members: Vec<Member<Identity>>,
    /// The broadcasts that ride with it.
    pub(super) items: Vec<Bytes>,
}

/// The bytes are no packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Packet {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let header: Header<Identity> = PostcardCodec.decode_header(&mut bytes).map_err(|_| Malformed)?;
        let mut members = Vec::new();
        if header.message != foca::Message::Broadcast && !bytes.is_empty() {
            for _ in 0..bytes.try_get_u16().map_err(|_| Malformed)? {
                members.push(PostcardCodec.decode_member(&mut bytes).map_err(|_| Malformed)?);
            }
        }
        let mut items = Vec::new();
        while !bytes.is_empty() {
            let length = usize::from(bytes.try_get_u16().map_err(|_| Malformed)?);
            let (item, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
            items.push(Bytes::copy_from_slice(item));
            bytes = rest;
        }
        Ok(Self { header, members, items })
    }

    /// The packet for foca: without the broadcasts, which are none of its business.
    pub(super) fn core(&self) -> Vec<u8> {
        write(&self.header, &self.members)
    }
}

/// A packet that says `members` of members.
pub(super) fn write(header: &Header<Identity>, members: &[Member<Identity>]) -> Vec<u8> {
    const PROOF: &str = "a vector takes all that is written";
    let mut bytes = Vec::with_capacity(256);
    PostcardCodec.encode_header(header, &mut bytes).expect(PROOF);
    // foca takes nothing behind these two, not even a count.
    if !matches!(header.message, foca::Message::Announce | foca::Message::TurnUndead) {
        bytes.put_u16(u16::try_from(members.len()).unwrap_or(u16::MAX));
        for member in members.iter().take(u16::MAX.into()) {
            PostcardCodec.encode_member(member, &mut bytes).expect(PROOF);
        }
    }
    bytes
}
