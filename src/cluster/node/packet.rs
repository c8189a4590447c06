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

#[cfg(test)]
mod tests {
    use foca::{Message, State};
    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> Identity {
        Identity::new(name.parse().unwrap(), 7, "10.0.0.1:7946".parse().unwrap())
    }

    fn header(message: Message<Identity>) -> Header<Identity> {
        Header { src: id("a"), src_incarnation: 3, dst: id("b"), message }
    }

    /// What version 1 writes. Never to be changed: a later version must read it.
    #[test]
    fn golden() {
        let members = [Member::new(id("c"), 1, State::Suspect)];
        let packet = write(&header(Message::Ping(9)), &members);
        let addr = "00 0a000001 8a3e";
        let golden = format!("0161 07 {addr} 03 0162 07 {addr} 00 09 0001 0163 07 {addr} 01 01").replace(' ', "");
        assert_eq!(hex::encode(&packet), golden);
        let read = Packet::parse(&packet).unwrap();
        assert_eq!((read.header, &read.members[..], read.items.len()), (header(Message::Ping(9)), &members[..], 0));
    }

    #[test]
    fn broadcasts_are_taken_out() {
        let mut packet = write(&header(Message::Gossip), &[]);
        let core = packet.clone();
        packet.extend_from_slice(b"\x00\x02ab\x00\x01c");
        let read = Packet::parse(&packet).unwrap();
        assert_eq!(read.items, ["ab", "c"]);
        assert_eq!(read.core(), core);
        assert_eq!(Packet::parse(&packet[..packet.len() - 1]).err(), Some(Malformed));
    }

    #[test]
    fn announcements_hold_nothing() {
        let packet = write(&header(Message::Announce), &[Member::alive(id("c"))]);
        assert!(Packet::parse(&packet).unwrap().members.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Packet::parse(&bytes));
        }

        #[test]
        fn a_damaged_packet_is_read_or_refused(at in 0_usize..200, byte: u8) {
            let mut packet = write(&header(Message::Ping(9)), &[Member::alive(id("c"))]);
            let at = at % packet.len();
            packet[at] = byte;
            if let Ok(read) = Packet::parse(&packet) {
                drop(Packet::parse(&read.core()).unwrap());
            }
        }
    }
}
