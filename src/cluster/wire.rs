//! The envelope around everything that is sent: who may read it, who sent it, and that it is new.
//!
//! Pure: bytes in, bytes or a reason out; nonces and time are handed in. It must not know what the
//! payload means.
//!
//! ```text
//! sealed  0x01 | key id 4 | sender 8 | boot 8 | counter 8 | nonce 24 | ciphertext | tag 16
//! plain   0x81 | label 8  | sender 8 | boot 8 | counter 8 | payload
//! ```
//!
//! Numbers are big-endian. The sealed form is XChaCha20-Poly1305: the key is shared by the cluster, so
//! nonces are random, and 96 bits of them would wear out after 2³² packets. The header, the cluster's
//! label and the [`Context`] are authenticated with it. The plain form authenticates nothing: it is for
//! `--insecure` and for loopback, where its label keeps two clusters apart by mistake, not by force.
//!
//! What cannot be opened is counted and never answered. A node with a key takes sealed packets only, one
//! without takes plain ones only.

mod peers;
mod rejected;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};

pub use peers::Peers;
pub use rejected::Rejected;

use super::{keyring::Keyring, label::ClusterLabel};

/// The largest datagram, in bytes, envelope included: fits an Ethernet frame under IPv4 and IPv6.
pub const MAX_DATAGRAM: usize = 1400;
/// What the sealed envelope adds to a payload, in bytes; the plain one adds less.
pub const OVERHEAD: usize = HEADER + TAG;

const SEALED: u8 = 0x01;
const PLAIN: u8 = 0x81;
const NONCE: usize = 24;
const TAG: usize = 16;
const HEADER: usize = 1 + 4 + Header::LEN + NONCE;
const PLAIN_HEADER: usize = 1 + 8 + Header::LEN;

/// A number used once: random, so that two nodes with one key never meet in it.
pub type Nonce = [u8; NONCE];

/// Who sent a packet, in which life, and which of that life's packets it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender: [`sender_id`] of it.
    pub sender: u64,
    /// The sender's life: a later one has a higher number.
    pub boot: u64,
    /// Counts the packets of that life upwards; on a stream, the frames of one direction.
    pub counter: u64,
}

/// What both ends must agree on beside key and label, so that a packet is of no use anywhere else.
#[derive(Clone, Copy, Debug)]
pub enum Context<'a> {
    /// A UDP datagram.
    Datagram,
    /// A frame from the end that opened a stream; the bytes are the session's.
    Caller(&'a [u8]),
    /// A frame to the end that opened a stream; the bytes are the session's.
    Answer(&'a [u8]),
}

/// Seals and opens for one cluster. Holds no state: what is new is for [`Peers`] to say.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The label's hash.
    label: [u8; 32],
    keys: Option<Keyring>,
}

impl Envelope {
    /// For this label; without keys, in the plain form.
    pub fn new(label: &ClusterLabel, keys: Option<Keyring>) -> Self {
        Self { label: hash(&[b"backchat label", label.as_str().as_bytes()]), keys }
    }

    /// The keys, where there are any.
    pub fn keys(&self) -> Option<&Keyring> {
        self.keys.as_ref()
    }

    /// Puts a payload into an envelope, with the primary key.
    #[expect(clippy::missing_panics_doc, reason = "it would take a payload of 256 GiB")]
    pub fn seal(&self, header: Header, context: Context<'_>, nonce: &Nonce, payload: &[u8]) -> Vec<u8> {
        let Some(keys) = &self.keys else { return self.plain(header, payload) };
        let key = keys.primary();
        let mut packet = Vec::with_capacity(HEADER + payload.len() + TAG);
        packet.push(SEALED);
        packet.extend_from_slice(&key.id());
        packet.extend_from_slice(&header.to_bytes());
        packet.extend_from_slice(nonce);
        let aad = self.associated(context, &packet);
        let cipher = XChaCha20Poly1305::new(key.bytes().into());
        let sealed = cipher
            .encrypt(&XNonce::from(*nonce), Payload { msg: payload, aad: &aad })
            .expect("a payload in memory is far below the cipher's 256 GiB");
        packet.extend_from_slice(&sealed);
        packet
    }

    /// Takes a payload out of its envelope. The counter is not looked at here.
    pub fn open(&self, context: Context<'_>, packet: &[u8]) -> Result<(Header, Vec<u8>), Rejected> {
        match (packet.first(), &self.keys) {
            (None, _) => Err(Rejected::Short),
            (Some(&SEALED), Some(keys)) => self.unseal(keys, context, packet),
            (Some(&PLAIN), None) => self.unwrap_plain(packet),
            (Some(&SEALED), None) => Err(Rejected::Sealed),
            (Some(&PLAIN), Some(_)) => Err(Rejected::Plain),
            (Some(_), _) => Err(Rejected::Version),
        }
    }

    fn unseal(&self, keys: &Keyring, context: Context<'_>, packet: &[u8]) -> Result<(Header, Vec<u8>), Rejected> {
        let (head, sealed) = packet.split_at_checked(HEADER).ok_or(Rejected::Short)?;
        let mut fields = Fields(head.get(1..).unwrap_or_default());
        let key = keys.by_id(fields.take()?).ok_or(Rejected::UnknownKey)?;
        let header = Header::take(&mut fields)?;
        let nonce: Nonce = fields.take()?;
        let aad = self.associated(context, head);
        let payload = XChaCha20Poly1305::new(key.bytes().into())
            .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| Rejected::Forged)?;
        Ok((header, payload))
    }

    fn plain(&self, header: Header, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(PLAIN_HEADER + payload.len());
        packet.push(PLAIN);
        packet.extend_from_slice(&self.label_id());
        packet.extend_from_slice(&header.to_bytes());
        packet.extend_from_slice(payload);
        packet
    }

    fn unwrap_plain(&self, packet: &[u8]) -> Result<(Header, Vec<u8>), Rejected> {
        let (head, payload) = packet.split_at_checked(PLAIN_HEADER).ok_or(Rejected::Short)?;
        let mut fields = Fields(head.get(1..).unwrap_or_default());
        if fields.take::<8>()? != self.label_id() {
            return Err(Rejected::Label);
        }
        Ok((Header::take(&mut fields)?, payload.to_vec()))
    }

    /// What the tag covers beside the payload. Every part has a fixed length or comes last.
    fn associated(&self, context: Context<'_>, head: &[u8]) -> Vec<u8> {
        let (channel, session): (u8, &[u8]) = match context {
            Context::Datagram => (0, &[]),
            Context::Caller(session) => (1, session),
            Context::Answer(session) => (2, session),
        };
        [&[channel], head, &self.label, session].concat()
    }

    fn label_id(&self) -> [u8; 8] {
        first(&self.label)
    }
}

/// The id in every header a node sends: of its name and its address. A name alone would let a newcomer
/// that is about to be refused the name push the holder's packets out of every window.
pub fn sender_id(node: &str, addr: std::net::SocketAddr) -> u64 {
    let digest = hash(&[b"backchat sender", node.as_bytes(), addr.to_string().as_bytes()]);
    u64::from_be_bytes(first(&digest))
}

/// SHA-256 over parts, none of which can pass for another.
pub(super) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The first bytes of a hash.
pub(super) fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|i| digest.get(i).copied().unwrap_or_default())
}

impl Header {
    const LEN: usize = 24;

    fn to_bytes(self) -> Vec<u8> {
        [self.sender, self.boot, self.counter].iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, Rejected> {
        let mut number = || fields.take().map(u64::from_be_bytes);
        Ok(Self { sender: number()?, boot: number()?, counter: number()? })
    }
}

/// Fixed fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Rejected> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Rejected::Short)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests;
