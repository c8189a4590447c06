//! A certificate as a data plane is given it: what everybody may know of it, and its secret, which nothing prints.
//!
//! Whoever makes one has read and checked it: this module parses no X.509. What reaches a file or a socket is encoded
//! anew from the bytes that were read, so that no line of a stranger's file does.

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::names::{HostPattern, NameError};

/// A certificate, and what it is for. Two are the same where what they are fingerprinted by is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The whole chain's: another intermediate is another certificate.
    pub fingerprint: Fingerprint,
    /// The first one's alone, as data planes say it.
    pub leaf: LeafPrint,
    /// The hosts that it is for.
    pub names: BTreeSet<HostPattern>,
    /// When it expires, in seconds since 1970.
    pub not_after: u64,
    /// Whether it is shown for names that no other is for.
    pub default: bool,
    /// Chain and key; none in what was read back.
    #[serde(skip)]
    pub pem: Option<Pem>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        (&self.fingerprint, self.default) == (&other.fingerprint, other.default)
    }
}

impl Eq for Certificate {}

/// What a private key is encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// PKCS #8 (RFC 5208).
    Pkcs8,
    /// PKCS #1, RSA (RFC 8017).
    Pkcs1,
    /// SEC 1, elliptic curves (RFC 5915).
    Sec1,
}

impl KeyForm {
    fn label(self) -> &'static str {
        match self {
            Self::Pkcs8 => "PRIVATE KEY",
            Self::Pkcs1 => "RSA PRIVATE KEY",
            Self::Sec1 => "EC PRIVATE KEY",
        }
    }
}

impl Certificate {
    /// From a chain in DER, the first its own, and the key that fits it. `None` where there is no chain.
    pub fn new(chain: &[&[u8]], key: (KeyForm, &[u8]), names: BTreeSet<HostPattern>, not_after: u64) -> Option<Self> {
        let leaf = LeafPrint(Sha1::digest(chain.first()?).into());
        let whole = chain.iter().fold(Sha256::new(), Digest::chain_update);
        let pem = Some(Pem::new(chain, key));
        Some(Self { fingerprint: Fingerprint(whole.finalize().into()), leaf, names, not_after, default: false, pem })
    }

    /// When it expires.
    pub fn expires(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.not_after)).unwrap_or(UNIX_EPOCH)
    }

    /// In the words of a change: `expires 2027-01-03  default`.
    pub fn words(&self) -> String {
        let day = humantime::format_rfc3339_seconds(self.expires()).to_string();
        let day = day.split('T').next().unwrap_or_default();
        format!("expires {day}{}", if self.default { "  default" } else { "" })
    }
}

macro_rules! print_newtype {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            /// Takes hexadecimal digits, in either case.
            fn from_str(text: &str) -> Result<Self, NameError> {
                let mut bytes = [0; $bytes];
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_) => Err(NameError::new($what, text, "use hexadecimal digits")),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(print: $name) -> Self {
                print.to_string()
            }
        }
    };
}

print_newtype!(
    /// What tells a chain from every other: SHA-256 over its certificates in DER.
    Fingerprint,
    32,
    "fingerprint"
);
print_newtype!(
    /// SHA-1 of a chain's first certificate: what HAProxy says of one that it holds. It tells apart, it proves nothing.
    LeafPrint,
    20,
    "SHA-1 fingerprint"
);

impl Fingerprint {
    /// Enough of it for a file's name.
    pub fn short(&self) -> String {
        hex::encode(self.0.get(..8).unwrap_or_default())
    }

    /// What stands for a chain of which only the first certificate is known: no chain's own.
    pub fn unknown(leaf: LeafPrint) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(leaf.0) {
            *to = from;
        }
        Self(bytes)
    }
}

/// Chain and key, as a data plane reads them. Nothing but [`Pem::secret`] gives them away.
#[derive(Clone)]
pub struct Pem(Arc<str>);

impl Pem {
    fn new(chain: &[&[u8]], (form, key): (KeyForm, &[u8])) -> Self {
        let mut text = String::new();
        for der in chain {
            block(&mut text, "CERTIFICATE", der);
        }
        block(&mut text, form.label(), key);
        Self(text.into())
    }

    /// The text: for the data plane's files and socket, and for nobody else. No line of it is empty.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(…)")
    }
}

impl PartialEq for Pem {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Pem {}

/// RFC 7468: 64 characters a line.
fn block(text: &mut String, label: &str, der: &[u8]) {
    let encoded = STANDARD.encode(der);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.extend([line, "\n"]);
        rest = more;
    }
    text.extend(["-----END ", label, "-----\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(chain: &[&[u8]]) -> Certificate {
        Certificate::new(chain, (KeyForm::Pkcs8, b"secret"), BTreeSet::new(), 1_798_934_400).unwrap()
    }

    #[test]
    fn another_chain_is_another_certificate() {
        assert_eq!(certificate(&[b"a"]), certificate(&[b"a"]));
        assert_ne!(certificate(&[b"a"]), certificate(&[b"a", b"b"]));
        assert_eq!(certificate(&[b"a"]).leaf, certificate(&[b"a", b"b"]).leaf);
        assert_ne!(certificate(&[b"a"]), Certificate { default: true, ..certificate(&[b"a"]) });
        assert!(Certificate::new(&[], (KeyForm::Pkcs8, b"secret"), BTreeSet::new(), 0).is_none());
    }

    #[test]
    fn its_words_are_its_day() {
        assert_eq!(certificate(&[b"a"]).words(), "expires 2027-01-03");
    }

    /// Neither the key nor its encoding is in anything but the text that is asked for.
    #[test]
    fn the_key_is_in_no_word_of_it() {
        let certificate = certificate(&[b"a"]);
        let encoded = STANDARD.encode(b"secret");
        assert!(certificate.pem.as_ref().unwrap().secret().contains(&encoded));
        let json = serde_json::to_string(&certificate).unwrap();
        for text in [format!("{certificate:?}"), json] {
            assert!(!text.contains(&encoded) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn no_line_of_a_pem_is_empty() {
        for length in [1, 47, 48, 49, 96, 4000] {
            let pem = Pem::new(&[&vec![7; length]], (KeyForm::Sec1, &vec![9; length]));
            assert!(pem.secret().lines().all(|line| (1..=64).contains(&line.len())), "{}", pem.secret());
            assert!(pem.secret().ends_with("-----END EC PRIVATE KEY-----\n"));
        }
    }
}
