//! What the envelope lets through, and what it does not.

use proptest::prelude::*;

use super::*;
use crate::cluster::keyring::Key;

const HEADER_OF: Header = Header { sender: 0x0102_0304_0506_0708, boot: 1_700_000_000_000, counter: 42 };
const NONCE_OF: Nonce = [9; NONCE];

fn key(byte: u8) -> Key {
    hex::encode([byte; 32]).parse().unwrap()
}

fn sealed(label: &str, key_byte: u8) -> Envelope {
    Envelope::new(&label.parse().unwrap(), Some(Keyring::new(key(key_byte))))
}

fn plain(label: &str) -> Envelope {
    Envelope::new(&label.parse().unwrap(), None)
}

/// Seals with one envelope, opens with another.
fn check(from: &Envelope, to: &Envelope, expected: Result<(), Rejected>) {
    let packet = from.seal(HEADER_OF, Context::Datagram, &NONCE_OF, b"hello");
    let got = to.open(Context::Datagram, &packet);
    assert_eq!(got, expected.map(|()| (HEADER_OF, b"hello".to_vec())));
}

#[test]
fn key_and_label_decide() {
    check(&sealed("a", 1), &sealed("a", 1), Ok(()));
    check(&sealed("a", 1), &sealed("a", 2), Err(Rejected::UnknownKey));
    check(&sealed("a", 1), &sealed("b", 1), Err(Rejected::Forged));
    check(&sealed("a", 1), &plain("a"), Err(Rejected::Sealed));
    check(&plain("a"), &sealed("a", 1), Err(Rejected::Plain));
    check(&plain("a"), &plain("a"), Ok(()));
    check(&plain("a"), &plain("b"), Err(Rejected::Label));
}

#[test]
fn a_packet_is_of_no_use_elsewhere() {
    let envelope = sealed("a", 1);
    let contexts = [
        Context::Datagram,
        Context::Caller(b""),
        Context::Answer(b""),
        Context::Caller(b"session 1"),
        Context::Caller(b"session 2"),
        Context::Answer(b"session 1"),
    ];
    for (i, sealing) in contexts.into_iter().enumerate() {
        let packet = envelope.seal(HEADER_OF, sealing, &NONCE_OF, b"hello");
        for (j, opening) in contexts.into_iter().enumerate() {
            assert_eq!(envelope.open(opening, &packet).is_ok(), i == j, "{sealing:?} {opening:?}");
        }
    }
}

#[test]
fn the_envelope_costs_what_it_says() {
    let packet = sealed("a", 1).seal(HEADER_OF, Context::Datagram, &NONCE_OF, b"hello");
    assert_eq!(packet.len(), b"hello".len() + OVERHEAD);
    assert_eq!(OVERHEAD, 69);
    let packet = plain("a").seal(HEADER_OF, Context::Datagram, &NONCE_OF, b"hello");
    assert!(packet.len() < b"hello".len() + OVERHEAD);
}

#[test]
fn nothing_of_the_payload_shows() {
    let packet = sealed("a", 1).seal(HEADER_OF, Context::Datagram, &NONCE_OF, &[b'x'; 64]);
    assert!(!packet.windows(4).any(|w| w == b"xxxx"));
}

#[test]
fn a_sender_is_a_name_at_an_address() {
    let addr = |text: &str| text.parse().unwrap();
    let one = sender_id("web1", addr("10.0.0.1:7946"));
    assert_eq!(one, sender_id("web1", addr("10.0.0.1:7946")));
    assert_ne!(one, sender_id("web1", addr("10.0.0.2:7946")));
    assert_ne!(one, sender_id("web2", addr("10.0.0.1:7946")));
}

#[test]
fn every_reason_has_its_place() {
    for (index, reason) in Rejected::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), index);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let mut packet = bytes;
        if let (true, Some(first)) = (version, packet.first_mut()) {
            *first = SEALED;
        }
        prop_assert!(sealed("a", 1).open(Context::Datagram, &packet).is_err());
        // The plain form authenticates nothing: it must not panic, and that is all.
        prop_assert!(plain("a").open(Context::Datagram, &packet).is_err() || packet.first() == Some(&PLAIN));
    }

    #[test]
    fn any_flipped_bit_is_rejected(payload in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let envelope = sealed("a", 1);
        let mut packet = envelope.seal(HEADER_OF, Context::Datagram, &NONCE_OF, &payload);
        let index = at.index(packet.len());
        packet[index] ^= 1 << bit;
        prop_assert!(envelope.open(Context::Datagram, &packet).is_err());
    }

    #[test]
    fn any_cut_is_rejected(at in 0usize..74) {
        let envelope = sealed("a", 1);
        let packet = envelope.seal(HEADER_OF, Context::Datagram, &NONCE_OF, b"hello");
        prop_assert!(envelope.open(Context::Datagram, &packet[..at]).is_err());
    }
}
