//! The keys of a cluster: read from a file, told apart by fingerprints. Their bytes are never shown.
//!
//! A key file holds one key a line, the first being the primary: 32 bytes as base64 (with or without
//! `=`) or as 64 hexadecimal digits. Empty lines and lines that begin with `#` are passed over.

mod file;

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::wire::{first, hash};

pub use file::KeyFileError;

/// How many keys a keyring holds at most: a rotation needs two.
pub const MAX_KEYS: usize = 16;

/// Writes padding, and reads with it or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A shared key: 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; 32],
    /// Kept, for every packet asks for it.
    fingerprint: Fingerprint,
}

/// What a key is called where people and logs see it: the beginning of its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

/// Why a line is no key. Never quotes the line: it may be most of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use 32 bytes as base64 or as 64 hexadecimal digits, as 'backchat keygen' prints them")]
pub struct KeyError;

impl Key {
    /// A fresh key from the system's randomness.
    pub fn generate() -> Self {
        Self::from_bytes(chacha20poly1305::aead::Generate::generate())
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes, fingerprint: Fingerprint(first(&hash(&[b"backchat key", &bytes]))) }
    }

    /// The key as a line of a key file, without the line's end. The only way its bytes leave.
    pub fn to_line(&self) -> String {
        BASE64.encode(self.bytes)
    }

    /// What to call it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What packets say which key they are sealed with.
    pub(super) fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.fingerprint.0;
        [a, b, c, d]
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        let bytes = if line.len() == 64 { hex::decode(line).ok() } else { BASE64.decode(line).ok() };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self::from_bytes).ok_or(KeyError)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.fingerprint())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Fingerprint {
    /// The first four digits, enough for a person to tell two keys apart: `51c0…`.
    pub fn short(&self) -> String {
        let [a, b, ..] = self.0;
        format!("{}…", hex::encode([a, b]))
    }
}

/// The keys a node holds: it seals with the primary and opens with any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    primary: Key,
    others: Vec<Key>,
}

impl Keyring {
    /// A keyring of one key.
    pub fn new(primary: Key) -> Self {
        Self { primary, others: Vec::new() }
    }

    /// The key that this node seals with.
    pub fn primary(&self) -> &Key {
        &self.primary
    }

    /// Every key, the primary first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    /// The key with this id. Two keys of one id do not get into a keyring.
    pub(super) fn by_id(&self, id: [u8; 4]) -> Option<&Key> {
        self.keys().find(|key| key.id() == id)
    }

    /// Adds a key that is not the primary; one that is there already changes nothing.
    fn add(&mut self, key: Key) -> Result<(), &'static str> {
        if self.keys().any(|other| *other == key) {
            return Ok(());
        }
        if self.by_id(key.id()).is_some() {
            return Err("two keys share an id, which happens once in four billion: make another");
        }
        if self.keys().count() == MAX_KEYS {
            return Err("at most 16 keys");
        }
        self.others.push(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn check(line: &str, taken: bool) {
        assert_eq!(line.parse::<Key>().is_ok(), taken, "{line:?}");
    }

    #[test]
    fn a_key_is_base64_or_hex() {
        check(HEX, true);
        check(&HEX.to_uppercase(), true);
        check("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true);
        check("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", true);
        check("", false);
        check("AAECAwQFBgcICQoLDA0ODw==", false);
        check(&HEX[..62], false);
        check(&format!("{HEX}00"), false);
        check("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!", false);
        assert_eq!(HEX.parse::<Key>(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".parse());
    }

    #[test]
    fn a_fresh_key_reads_as_it_prints() {
        let key = Key::generate();
        assert_eq!(key.to_line().parse(), Ok(key.clone()));
        assert_ne!(key, Key::generate());
    }

    #[test]
    fn bytes_are_never_shown() {
        let key: Key = HEX.parse().unwrap();
        let shown = format!("{:?} {} {}", Keyring::new(key.clone()), key.fingerprint(), key.fingerprint().short());
        for secret in [key.to_line(), HEX.into(), format!("{:?}", key.bytes), "0001".into(), "0, 1, 2".into()] {
            assert!(!shown.contains(&secret), "{shown}");
        }
        assert_eq!(key.fingerprint().to_string().len(), 16);
        assert!(key.fingerprint().to_string().starts_with(key.fingerprint().short().trim_end_matches('…')));
    }
}
