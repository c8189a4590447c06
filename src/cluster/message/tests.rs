//! Golden bytes, and what is made of those of other versions.

use proptest::prelude::*;

use super::*;

fn id(name: &str) -> Identity {
    Identity::new(name.parse().unwrap(), 7, "10.0.0.1:7946".parse().unwrap())
}

fn record_id() -> RecordId {
    RecordId { node: "web1".into(), epoch: 7, version: 2 }
}

/// What version 1 writes. Never to be changed: a later version must read these.
#[test]
fn golden() {
    let id7 = "8464776562310744 0a000001 191f0a".replace(' ', "");
    let record = "a300647765623101070202";
    check(&Message::Foca(b"\x01\x02"), "000102");
    check(
        &Message::Push(Push { from: id("web1"), record: [1, 2, 3].as_slice().into() }),
        &format!("01a200{id7}0143010203"),
    );
    check(&Message::Ack(Ack { from: id("web1"), id: record_id() }), &format!("02a200{id7}01{record}"));
    check(&Message::Announce(Announce { from: id("web1"), id: record_id() }), &format!("03a200{id7}01{record}"));
    check(&Message::Ping(Ping { to: id("web1"), token: 5 }), &format!("04a200{id7}0105"));
    check(&Message::Pong(Pong { from: id("web1"), token: 5 }), &format!("05a200{id7}0105"));
    check(&Message::Held(Held { holder: id("web1") }), &format!("06a100{id7}"));
}

fn check(message: &Message<'_>, golden: &str) {
    assert_eq!(hex::encode(message.encode()), golden, "{message:?}");
    assert_eq!(Message::decode(&hex::decode(golden).unwrap()).as_ref(), Ok(message));
}

/// A later version's ping with a field that this one does not know.
#[test]
fn fields_of_later_versions_are_skipped() {
    let ping = "04a3008464776562310744 0a000001 191f0a 0105 1863 82f5f4".replace(' ', "");
    let read = Message::decode(&hex::decode(ping).unwrap()).map(|message| message.encode());
    assert_eq!(read, Ok(Message::Ping(Ping { to: id("web1"), token: 5 }).encode()));
}

#[test]
fn kinds_of_later_versions_are_told_apart_from_garbage() {
    assert_eq!(Message::decode(&[99, 1, 2]), Err(MessageError::Kind(99)));
    assert_eq!(Message::decode(&[]), Err(MessageError::Empty));
    assert!(matches!(Message::decode(&[4, 0xff]), Err(MessageError::Malformed(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::decode(&bytes) {
            let again = message.encode();
            prop_assert_eq!(Message::decode(&again), Ok(message));
        }
    }
}
