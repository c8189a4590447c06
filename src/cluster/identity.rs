//! Who a node is to the gossip protocol: a name, which life of it, and where it is reached.
//!
//! Everything else that a node says stands in its record: an identity travels two or three times in every
//! packet. Knows nothing of sockets or files.

use std::{fmt, net::SocketAddr, sync::Arc};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cbor;
use crate::model::NodeName;

/// The highest epoch that is taken from others: the clock of the year 2242 in milliseconds. One packet
/// with the highest number there is would else end a name for ever.
pub const MAX_EPOCH: u64 = 1 << 43;

/// A node in one of its lives.
///
/// Two identities of one name compete, and the greater one wins: the higher epoch, and between equal
/// epochs the higher address, so that all views agree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Shared: foca clones identities for every comparison.
    name: Arc<NodeName>,
    epoch: u64,
    addr: SocketAddr,
}

impl Identity {
    /// The node `name` in its life `epoch`, reached at `addr` over UDP and TCP.
    pub fn new(name: NodeName, epoch: u64, addr: SocketAddr) -> Self {
        Self { name: Arc::new(name), epoch, addr }
    }

    /// The node's name, which no other living node has.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Which of the node's lives: a later one has a higher number.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the node is reached.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether `self` and `other` are of one name at two addresses: two nodes, or one that moved.
    pub fn is_rival(&self, other: &Self) -> bool {
        self.name == other.name && self.addr != other.addr
    }

    /// The next life of this node, above every epoch that is known of its name.
    #[must_use]
    pub fn renewed(&self, known: Option<u64>) -> Self {
        let epoch = self.epoch.max(known.unwrap_or(0)).saturating_add(1);
        Self { epoch, ..self.clone() }
    }

    /// The same life, reached at another address.
    #[must_use]
    pub fn at(&self, addr: SocketAddr) -> Self {
        Self { addr, ..self.clone() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} ({})", self.name, self.addr, self.epoch)
    }
}

impl foca::Identity for Identity {
    /// The name and not the socket address: a node that moved is the same node, and two hosts behind two
    /// bridges may have the same IP.
    type Addr = Arc<NodeName>;

    /// Never: whether a node that was declared down may begin a new life is for the node to decide, which
    /// knows whether another address holds its name by now. It uses [`Identity::renewed`].
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> Self::Addr {
        Arc::clone(&self.name)
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

/// The epoch of a life that begins: the wall clock in milliseconds, but above the last life's epoch
/// (`kept`) and above the highest that the cluster knows of the name (`known`), for clocks step back.
pub fn first_epoch(wall_ms: u64, kept: Option<u64>, known: Option<u64>) -> u64 {
    let above = |epoch: Option<u64>| epoch.map_or(0, |epoch| epoch.saturating_add(1));
    wall_ms.max(above(kept)).max(above(known))
}

/// Within foca's packets (postcard): name, epoch, address.
impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.name.as_str(), self.epoch, self.addr).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (name, epoch, addr) = <(NodeName, u64, SocketAddr)>::deserialize(d)?;
        if epoch > MAX_EPOCH {
            return Err(serde::de::Error::custom("an epoch out of range"));
        }
        Ok(Self::new(name, epoch, addr))
    }
}

/// Within our own messages (CBOR): `[name, epoch, ip as 4 or 16 bytes, port]`; a later version may add parts.
impl<C> Encode<C> for Identity {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.array(4)?.str(self.name.as_str())?.u64(self.epoch)?;
        match self.addr.ip() {
            std::net::IpAddr::V4(ip) => e.bytes(&ip.octets())?,
            std::net::IpAddr::V6(ip) => e.bytes(&ip.octets())?,
        };
        e.u16(self.addr.port())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Identity {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::parts(d, 4, |d| {
            let name = d.str()?.parse::<NodeName>().map_err(|_| decode::Error::message("no node name"))?;
            let epoch = d.u64()?;
            if epoch > MAX_EPOCH {
                return Err(decode::Error::message("an epoch out of range"));
            }
            let ip = d.bytes()?;
            let ip = <[u8; 4]>::try_from(ip)
                .map(std::net::IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(ip).map(std::net::IpAddr::from))
                .map_err(|_| decode::Error::message("no ip address"))?;
            Ok(Self::new(name, epoch, SocketAddr::new(ip, d.u16()?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use foca::Identity as _;

    use super::*;

    fn id(epoch: u64, addr: &str) -> Identity {
        Identity::new("web1".parse().unwrap(), epoch, addr.parse().unwrap())
    }

    #[test]
    fn of_two_exactly_one_wins() {
        let all =
            [id(1, "10.0.0.1:1"), id(1, "10.0.0.1:2"), id(1, "10.0.0.2:1"), id(1, "[::1]:1"), id(2, "10.0.0.1:1")];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate().filter(|(j, _)| *j != i) {
                assert_eq!(a.win_addr_conflict(b), i > j, "{a} against {b}");
            }
        }
    }

    #[test]
    fn a_renewed_life_wins() {
        let old = id(7, "10.0.0.1:1");
        assert!(old.renewed(None).win_addr_conflict(&old));
        assert_eq!(old.renewed(Some(99)).epoch(), 100);
        assert_eq!(old.renewed(Some(3)).epoch(), 8);
    }

    #[test]
    fn epochs_rise_though_the_clock_steps_back() {
        let check = |wall, kept, known, expected| assert_eq!(first_epoch(wall, kept, known), expected);
        check(1000, None, None, 1000);
        check(1000, Some(999), None, 1000);
        check(1000, Some(5000), None, 5001);
        check(1000, Some(5000), Some(7000), 7001);
        check(1000, Some(7000), Some(5000), 7001);
        check(9000, Some(7000), Some(5000), 9000);
    }

    #[test]
    fn both_encodings_give_back_what_they_took() {
        for id in [id(0, "10.0.0.1:1"), id(MAX_EPOCH, "[2001:db8::1]:65535")] {
            let cbor = minicbor::to_vec(&id).unwrap();
            assert_eq!(minicbor::decode::<Identity>(&cbor).unwrap(), id);
            let packed = postcard::to_allocvec(&id).unwrap();
            assert_eq!(postcard::from_bytes::<Identity>(&packed).unwrap(), id);
        }
        let absurd = id(MAX_EPOCH + 1, "10.0.0.1:1");
        assert!(minicbor::decode::<Identity>(&minicbor::to_vec(&absurd).unwrap()).is_err());
        assert!(postcard::from_bytes::<Identity>(&postcard::to_allocvec(&absurd).unwrap()).is_err());
    }
}
