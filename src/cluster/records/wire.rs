//! A record as bytes: CBOR maps with numbered fields. A field that this version does not know is skipped
//! when it is read, and lives on in the bytes.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::MAX_RECORD;
use crate::{
    cluster::{cbor, identity::MAX_EPOCH},
    model::{Drains, Kind, RawOffer, RawRecord, State},
};

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More than [`MAX_RECORD`].
    #[error("{0} bytes: at most {MAX_RECORD}")]
    TooLong(usize),
    /// No record at all.
    #[error("malformed: {0}")]
    Malformed(String),
    /// It claims to be of a node that cannot be.
    #[error("the node's name is no node name")]
    Name,
    /// An epoch out of range.
    #[error("epoch {0} is out of range")]
    Epoch(u64),
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Record<'a> {
    #[b(0)]
    node: &'a str,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    version: u64,
    #[n(3)]
    kind: Option<u32>,
    #[n(4)]
    state: Option<u32>,
    #[b(5)]
    services: Option<Vec<Offer<'a>>>,
    #[b(6)]
    tags: Option<BTreeMap<&'a str, &'a str>>,
    /// Whether the state is an operator's order. Left out, as the next, where nothing is out by hand. Number 7 stands in
    /// a golden packet for what a later version might say.
    #[n(8)]
    by_hand: Option<bool>,
    /// The services that an operator drained.
    #[b(9)]
    drained: Option<Vec<&'a str>>,
    /// Whether a balancer's data plane outlives its goodbye. Left out where it ends with it.
    #[n(10)]
    plane_stays: Option<bool>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Offer<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    port: u32,
    #[b(2)]
    hosts: Option<Vec<&'a str>>,
    #[b(3)]
    path: Option<&'a str>,
    #[n(4)]
    weight: Option<u32>,
    #[b(5)]
    protocol: Option<&'a str>,
    /// Left out where it is healthy: the usual case.
    #[n(6)]
    unhealthy: Option<bool>,
}

/// The bytes of a record.
///
/// # Errors
/// A record that does not fit into [`MAX_RECORD`].
pub fn encode(record: &RawRecord) -> Result<Vec<u8>, RecordError> {
    let services: Vec<Offer<'_>> = record.services.iter().map(offer).collect();
    let tags: BTreeMap<&str, &str> = record.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let drained: Vec<&str> = record.by_hand.services.iter().map(String::as_str).collect();
    let wire = Record {
        node: &record.node,
        epoch: record.epoch,
        version: record.version,
        kind: Some(kind_code(record.kind)),
        state: Some(state_code(record.state)),
        services: (!services.is_empty()).then_some(services),
        tags: (!tags.is_empty()).then_some(tags),
        by_hand: record.by_hand.node.then_some(true),
        drained: (!drained.is_empty()).then_some(drained),
        plane_stays: record.plane_stays.then_some(true),
    };
    let bytes = cbor::behind(&[], &wire);
    if bytes.len() > MAX_RECORD { Err(RecordError::TooLong(bytes.len())) } else { Ok(bytes) }
}

fn offer(offer: &RawOffer) -> Offer<'_> {
    Offer {
        name: &offer.name,
        port: offer.port,
        hosts: (!offer.hosts.is_empty()).then(|| offer.hosts.iter().map(String::as_str).collect()),
        path: offer.path.as_deref(),
        weight: offer.weight,
        protocol: offer.protocol.as_deref(),
        unhealthy: (!offer.healthy).then_some(true),
    }
}

/// Reads a record.
///
/// # Errors
/// Bytes that are too many or no record. What a text in it says is not looked at.
pub fn decode(bytes: &[u8]) -> Result<RawRecord, RecordError> {
    if bytes.len() > MAX_RECORD {
        return Err(RecordError::TooLong(bytes.len()));
    }
    let wire: Record<'_> = minicbor::decode(bytes).map_err(|e| RecordError::Malformed(e.to_string()))?;
    if wire.epoch > MAX_EPOCH {
        return Err(RecordError::Epoch(wire.epoch));
    }
    Ok(RawRecord {
        node: wire.node.to_owned(),
        epoch: wire.epoch,
        version: wire.version,
        kind: kind_of(wire.kind.unwrap_or_default()),
        state: state_of(wire.state.unwrap_or_default()),
        services: wire.services.unwrap_or_default().into_iter().map(raw_offer).collect(),
        tags: wire.tags.unwrap_or_default().into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        by_hand: Drains {
            node: wire.by_hand.unwrap_or_default(),
            services: wire.drained.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        },
        plane_stays: wire.plane_stays.unwrap_or_default(),
    })
}

fn raw_offer(offer: Offer<'_>) -> RawOffer {
    RawOffer {
        name: offer.name.to_owned(),
        port: offer.port,
        hosts: offer.hosts.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        path: offer.path.map(str::to_owned),
        weight: offer.weight,
        protocol: offer.protocol.map(str::to_owned),
        healthy: !offer.unhealthy.unwrap_or_default(),
    }
}

fn kind_code(kind: Kind) -> u32 {
    match kind {
        Kind::Agent => 0,
        Kind::Balancer => 1,
    }
}

/// A kind of a later version is taken as one that is told of nothing first.
fn kind_of(code: u32) -> Kind {
    if code == 1 { Kind::Balancer } else { Kind::Agent }
}

fn state_code(state: State) -> u32 {
    match state {
        State::Serving => 0,
        State::Draining => 1,
        State::Left => 2,
    }
}

/// A state of a later version is something other than serving: no new requests.
fn state_of(code: u32) -> State {
    match code {
        0 => State::Serving,
        2 => State::Left,
        _ => State::Draining,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn full() -> RawRecord {
        let offer = RawOffer {
            name: "web".into(),
            port: 8080,
            hosts: vec!["a.example".into(), "*".into()],
            path: Some("/x".into()),
            weight: Some(256),
            protocol: Some("tcp".into()),
            healthy: false,
        };
        RawRecord {
            node: "web1".into(),
            epoch: 7,
            version: 2,
            kind: Kind::Balancer,
            state: State::Draining,
            services: vec![offer],
            tags: BTreeMap::from([("k".into(), "v".into())]),
            by_hand: Drains::default(),
            plane_stays: false,
        }
    }

    fn plain() -> RawRecord {
        RawRecord { node: "web1".into(), epoch: 7, version: 2, ..RawRecord::default() }
    }

    /// What version 1 writes. Never to be changed: a later version must read it.
    #[test]
    fn golden() {
        check(&plain(), "a5 00 6477656231 01 07 02 02 03 00 04 00");
        check(
            &full(),
            "a7 00 6477656231 01 07 02 02 03 01 04 01 \
             05 81 a7 00 63776562 01 191f90 02 82 69612e6578616d706c65 612a 03 622f78 04 190100 05 63746370 06 f5 \
             06 a1 616b 6176",
        );
    }

    /// What the next version added: one of version 1 skips it, and sees a node that drains or serves.
    #[test]
    fn what_is_drained_by_hand() {
        let by_hand = Drains { node: true, services: BTreeSet::from(["api".into(), "web".into()]) };
        let drained = RawRecord { state: State::Draining, by_hand, ..plain() };
        check(&drained, "a7 00 6477656231 01 07 02 02 03 00 04 01 08 f5 09 82 63617069 63776562");
    }

    #[test]
    fn whose_data_plane_stays() {
        let stays = RawRecord { kind: Kind::Balancer, state: State::Left, plane_stays: true, ..plain() };
        check(&stays, "a6 00 6477656231 01 07 02 02 03 01 04 02 0a f5");
    }

    fn check(record: &RawRecord, golden: &str) {
        let golden = golden.replace(' ', "");
        assert_eq!(hex::encode(encode(record).unwrap()), golden);
        assert_eq!(&decode(&hex::decode(golden).unwrap()).unwrap(), record);
    }

    #[test]
    fn what_a_later_version_says_is_read_as_far_as_it_goes() {
        // Field 99, kind 7, state 9; and no kind, state, services, tags at all.
        let later = hex::decode("a60064776562310107020203070409186365 6c61746572".replace(' ', "")).unwrap();
        assert_eq!(decode(&later).unwrap(), RawRecord { state: State::Draining, ..plain() });
        let bare = hex::decode("a30064776562310107 0202".replace(' ', "")).unwrap();
        assert_eq!(decode(&bare).unwrap(), plain());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(decode(&[0; MAX_RECORD + 1]), Err(RecordError::TooLong(MAX_RECORD + 1)));
        for bytes in ["", "ff", "a0", "a10064776562 31", "a300627765"] {
            let bytes = hex::decode(bytes.replace(' ', "")).unwrap();
            assert!(matches!(decode(&bytes), Err(RecordError::Malformed(_))), "{bytes:x?}");
        }
        let absurd = RawRecord { epoch: MAX_EPOCH + 1, ..plain() };
        assert_eq!(decode(&encode(&absurd).unwrap()), Err(RecordError::Epoch(MAX_EPOCH + 1)));
        let long = RawRecord { tags: BTreeMap::from([("k".into(), "v".repeat(MAX_RECORD))]), ..plain() };
        assert!(matches!(encode(&long), Err(RecordError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(record) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
            }
        }

        /// Deep nesting and false lengths in a field that is skipped.
        #[test]
        fn unknown_fields_may_hold_anything(field in proptest::collection::vec(any::<u8>(), 0..64), depth in 0_usize..2000) {
            let mut bytes = hex::decode("a400647765623101070202 1863".replace(' ', "")).unwrap();
            bytes.extend(vec![0x81; depth]);
            bytes.extend(field);
            drop(decode(&bytes));
        }
    }
}
