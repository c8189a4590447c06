//! What two nodes tell one another over TCP: everybody they know, and the records that the other lacks.
//!
//! One type for all three steps: the caller's opening, the answer to it, and the caller's remainder. Pure;
//! the frames around it, their size limit and the sockets are others' business.

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use super::{cbor, identity::Identity};
use crate::model::NodeName;

/// The largest exchange, in bytes: some 10,000 members with records of 1 KiB.
pub const MAX_EXCHANGE: usize = 16 << 20;

/// How far a record has come: (epoch, version).
pub type Age = (u64, u64);

/// What one side tells the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Who tells.
    pub from: Identity,
    /// Everybody it knows, those declared down included, itself too.
    pub members: Vec<foca::Member<Identity>>,
    /// Which records it has.
    pub ages: BTreeMap<NodeName, Age>,
    /// Records, as bytes.
    pub records: Vec<Bytes>,
    /// Whether `records` holds all that the other lacks: so in an answer and in the remainder, not in an opening.
    pub complete: bool,
}

impl Exchange {
    /// The bytes of the exchange.
    pub fn encode(&self) -> Vec<u8> {
        cbor::behind(&[], self)
    }

    /// Reads what [`Exchange::encode`] wrote. Members and records that make no sense to this version are
    /// left out one by one; the rest counts.
    pub fn decode(bytes: &[u8]) -> Result<Self, decode::Error> {
        minicbor::decode(bytes)
    }
}

const FROM: u32 = 0;
const MEMBERS: u32 = 1;
const AGES: u32 = 2;
const RECORDS: u32 = 3;
const COMPLETE: u32 = 4;

impl<C> Encode<C> for Exchange {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.map(5)?.u32(FROM)?;
        self.from.encode(e, ctx)?;
        e.u32(MEMBERS)?.array(self.members.len() as u64)?;
        for member in &self.members {
            e.array(3)?;
            member.id().encode(e, ctx)?;
            e.u16(member.incarnation())?.u8(state_code(member.state()))?;
        }
        e.u32(AGES)?.map(self.ages.len() as u64)?;
        for (name, (epoch, version)) in &self.ages {
            e.str(name.as_str())?.array(2)?.u64(*epoch)?.u64(*version)?;
        }
        e.u32(RECORDS)?.array(self.records.len() as u64)?;
        for record in &self.records {
            e.bytes(record)?;
        }
        e.u32(COMPLETE)?.bool(self.complete)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Exchange {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        let (mut from, mut complete) = (None, false);
        let (mut members, mut ages, mut records) = (Vec::new(), BTreeMap::new(), Vec::new());
        for _ in 0..counted(d.map()?)? {
            match d.u32()? {
                FROM => from = Some(Identity::decode(d, ctx)?),
                MEMBERS => members = list(d, |d| member(d, ctx))?,
                AGES => ages = read_ages(d)?,
                RECORDS => records = list(d, |d| Ok(Some(Bytes::copy_from_slice(d.bytes()?))))?,
                COMPLETE => complete = d.bool()?,
                _ => d.skip()?,
            }
        }
        let from = from.ok_or_else(|| decode::Error::message("an exchange of nobody"))?;
        Ok(Self { from, members, ages, records, complete })
    }
}

fn counted(length: Option<u64>) -> Result<u64, decode::Error> {
    length.ok_or_else(|| decode::Error::message("a length left open"))
}

fn list<'b, T>(
    d: &mut Decoder<'b>,
    mut item: impl FnMut(&mut Decoder<'b>) -> Result<Option<T>, decode::Error>,
) -> Result<Vec<T>, decode::Error> {
    let mut items = Vec::new();
    for _ in 0..counted(d.array()?)? {
        items.extend(item(d)?);
    }
    Ok(items)
}

/// A member, or `None` where its identity or state makes no sense here.
fn member<C>(d: &mut Decoder<'_>, ctx: &mut C) -> Result<Option<foca::Member<Identity>>, decode::Error> {
    cbor::parts(d, 3, |d| {
        let start = d.position();
        d.skip()?;
        let end = d.position();
        let id = d.input().get(start..end).and_then(|bytes| minicbor::decode_with(bytes, ctx).ok());
        let (incarnation, state) = (d.u16()?, state_of(d.u8()?));
        Ok(id.zip(state).map(|(id, state)| foca::Member::new(id, incarnation, state)))
    })
}

fn read_ages(d: &mut Decoder<'_>) -> Result<BTreeMap<NodeName, Age>, decode::Error> {
    let mut ages = BTreeMap::new();
    for _ in 0..counted(d.map()?)? {
        let name = d.str()?.parse();
        let age = cbor::parts(d, 2, |d| Ok((d.u64()?, d.u64()?)))?;
        ages.extend(name.map(|name| (name, age)));
    }
    Ok(ages)
}

fn state_code(state: foca::State) -> u8 {
    match state {
        foca::State::Alive => 0,
        foca::State::Suspect => 1,
        foca::State::Down => 2,
    }
}

fn state_of(code: u8) -> Option<foca::State> {
    [foca::State::Alive, foca::State::Suspect, foca::State::Down].get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> Identity {
        Identity::new(name.parse().unwrap(), 7, "[::1]:7946".parse().unwrap())
    }

    fn sample() -> Exchange {
        let member = |name, state| foca::Member::new(id(name), 3, state);
        Exchange {
            from: id("a"),
            members: vec![
                member("a", foca::State::Alive),
                member("b", foca::State::Suspect),
                member("c", foca::State::Down),
            ],
            ages: BTreeMap::from([("a".parse().unwrap(), (7, 2))]),
            records: vec![Bytes::from_static(b"\x01\x02"), Bytes::new()],
            complete: true,
        }
    }

    /// What version 1 writes. Never to be changed: a later version must read it.
    #[test]
    fn golden() {
        let ip = "50 00000000000000000000000000000001 191f0a";
        let golden = format!(
            "a5 00 84 6161 07 {ip} \
             01 83 83 84 6161 07 {ip} 03 00 83 84 6162 07 {ip} 03 01 83 84 6163 07 {ip} 03 02 \
             02 a1 6161 82 07 02  03 82 42 0102 40  04 f5"
        );
        let golden = golden.replace(' ', "");
        assert_eq!(hex::encode(sample().encode()), golden);
        assert_eq!(Exchange::decode(&hex::decode(golden).unwrap()).unwrap(), sample());
    }

    /// A member with a name or a state that makes no sense here costs only itself.
    #[test]
    fn members_of_later_versions_are_left_out() {
        let bytes = hex::encode(sample().encode());
        let (b, down) = ("83846162", "191f0a0302");
        for (there, instead) in [(b, "8384613b"), (down, "191f0a0309")] {
            assert_eq!(bytes.matches(there).count(), 1);
            let read = Exchange::decode(&hex::decode(bytes.replacen(there, instead, 1)).unwrap()).unwrap();
            assert_eq!((read.members.len(), read.ages), (2, sample().ages));
        }
    }

    #[test]
    fn unknown_fields_are_skipped_and_missing_ones_empty() {
        let mut bytes = vec![0xA2, 0x18, 99, 0x81, 0xF6, 0];
        bytes.extend(cbor::behind(&[], &id("a")));
        let read = Exchange::decode(&bytes).unwrap();
        assert_eq!((read.from, read.members, read.complete), (id("a"), Vec::new(), false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(exchange) = Exchange::decode(&bytes) {
                prop_assert_eq!(Exchange::decode(&exchange.encode()).unwrap(), exchange);
            }
        }

        /// One damaged byte in a valid one: read or refused, and no memory or time without bounds.
        #[test]
        fn a_damaged_exchange_is_read_or_refused(at in 0_usize..150, byte: u8) {
            let mut bytes = sample().encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(Exchange::decode(&bytes));
        }
    }
}
