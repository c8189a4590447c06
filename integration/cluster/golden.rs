//! Packets as version 1 wrote them, kept in `integration/golden/v1`: every later version must read them.
//! A new format gets a folder of its own; nothing in this one is ever written again.

use std::{fs, path::Path};

use backchat::{
    cluster::{
        Keyring,
        exchange::Exchange,
        identity::Identity,
        message::{Message, Push},
        records,
        wire::{Context, Envelope, Header},
    },
    model::{Drains, Kind, RawOffer, RawRecord, State},
};

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/golden/v1").join(name).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

/// What is written today is what was written then.
fn check(name: &str, written: &[u8]) {
    assert_eq!(hex::encode(golden(name)), hex::encode(written), "{name} is written another way");
}

fn envelope(keyed: bool) -> Envelope {
    let keys = keyed.then(|| Keyring::new(hex::encode((0..32).collect::<Vec<u8>>()).parse().unwrap()));
    Envelope::new(&"golden".parse().unwrap(), keys)
}

const HEADER: Header = Header { sender: 0x1122_3344_5566_7788, boot: 1_700_000_000_000, counter: 42 };
const NONCE: [u8; 24] = [0x5a; 24];

fn identity() -> Identity {
    Identity::new("web1".parse().unwrap(), 1_700_000_000_001, "10.0.0.7:7946".parse().unwrap())
}

fn record() -> RawRecord {
    RawRecord {
        node: "web1".into(),
        epoch: 1_700_000_000_001,
        version: 3,
        kind: Kind::Agent,
        state: State::Draining,
        services: vec![RawOffer {
            name: "web".into(),
            port: 8080,
            hosts: vec!["www.example.com".into(), "*.apps.example.com".into()],
            path: Some("/shop".into()),
            weight: Some(50),
            protocol: Some("http".into()),
            healthy: false,
        }],
        tags: [("zone".into(), "a".into())].into(),
        by_hand: Drains::default(),
        plane_stays: false,
    }
}

#[test]
fn envelopes() {
    for (name, keyed) in [("datagram-sealed", true), ("datagram-plain", false)] {
        let envelope = envelope(keyed);
        let opened = envelope.open(Context::Datagram, &golden(name)).unwrap();
        assert_eq!(opened, (HEADER, b"hello".to_vec()), "{name}");
        check(name, &envelope.seal(HEADER, Context::Datagram, &NONCE, b"hello"));
    }
    let session = (0..32).collect::<Vec<u8>>();
    for (name, context) in [("frame-caller", Context::Caller(&session)), ("frame-answer", Context::Answer(&session))] {
        let opened = envelope(true).open(context, &golden(name)).unwrap();
        assert_eq!(opened, (HEADER, b"hello".to_vec()), "{name}");
        check(name, &envelope(true).seal(HEADER, context, &NONCE, b"hello"));
    }
}

#[test]
fn records_and_their_messages() {
    let bytes = golden("record");
    assert_eq!(records::decode(&bytes).unwrap(), record());
    check("record", &records::encode(&record()).unwrap());

    let packet = golden("push");
    let push = Message::Push(Push { from: identity(), record: bytes.as_slice().into() });
    assert_eq!(Message::decode(&packet).unwrap(), push);
    check("push", &push.encode());

    let exchange = Exchange {
        from: identity(),
        members: vec![foca::Member::new(identity(), 7, foca::State::Suspect)],
        ages: [("web1".parse().unwrap(), record().age())].into(),
        records: vec![bytes.into()],
        complete: true,
    };
    assert_eq!(Exchange::decode(&golden("exchange")).unwrap(), exchange);
    check("exchange", &exchange.encode());
}

/// As a later version may write it: one more part in every identity, member and age.
#[test]
fn an_exchange_with_longer_arrays() {
    assert_eq!(Exchange::decode(&golden("exchange-of-later")).unwrap(), Exchange::decode(&golden("exchange")).unwrap());
    // One part too few is still none.
    let short = hex::encode(golden("exchange"))
        .replace("8464776562311b0000018bcfe56801440a000007191f0a", "83647765623101440a000007");
    assert!(Exchange::decode(&hex::decode(short).unwrap()).is_err());
}

/// As a later version may write it: fields that this one does not know, in the record and in its offer.
#[test]
fn a_record_with_unknown_fields() {
    let bytes = golden("record-of-later");
    assert_eq!(records::decode(&bytes).unwrap(), record());
    let packet = Message::Push(Push { from: identity(), record: bytes.as_slice().into() }).encode();
    let Message::Push(push) = Message::decode(&packet).unwrap() else { panic!("no push") };
    assert_eq!(push.record.as_ref() as &[u8], bytes, "the unknown fields are handed on");
}
