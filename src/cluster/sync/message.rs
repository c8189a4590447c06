//! What is said over a stream: who one is, then one question and its answer.
//!
//! The first byte of a payload says what it is; what follows is CBOR with numbered fields, of which
//! unknown ones are skipped: version N reads N−1 and N+1. A question that this version does not know
//! ends the stream, and the asker goes on without. Pure.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode, bytes::ByteArray};

use crate::cluster::{cbor, identity::Identity, wire::Rejected};

/// The first thing either end says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(in crate::cluster) struct Hello {
    /// Who speaks.
    #[n(0)]
    pub(in crate::cluster) from: Identity,
    /// Made up for this stream.
    #[n(1)]
    pub(in crate::cluster) number: ByteArray<16>,
}

/// What the end that opened the stream wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Question {
    /// Tell one another everything: three bodies follow the welcome, the caller's first.
    Exchange {
        /// Whether the caller joins, so that its name is to be looked at first.
        joining: bool,
    },
    /// Are you there? Nothing follows, [`Reply::Here`] comes back: asked where a name was held last.
    Presence,
    /// Tell me when you have drained me.
    Drained(DrainAsk),
    /// An operator's order to the node itself, and how far it has come.
    Order(OrderAsk),
    /// Tell me everything: the body of an exchange comes back. The caller is no member, and says nothing of anybody.
    Everything,
}

/// See [`Question::Drained`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(in crate::cluster) struct DrainAsk {
    /// Whose endpoints.
    #[n(0)]
    pub(in crate::cluster) node: String,
    /// Of which life.
    #[n(1)]
    pub(in crate::cluster) epoch: u64,
    /// From which version of its record on.
    #[n(2)]
    pub(in crate::cluster) version: u64,
    /// How long the asker waits, in milliseconds.
    #[n(3)]
    pub(in crate::cluster) wait_ms: u64,
    /// Whether what does not drain is asked about too: that it serves. Left out where not.
    #[n(4)]
    pub(in crate::cluster) serves: Option<bool>,
}

/// See [`Question::Order`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(in crate::cluster) struct OrderAsk {
    /// 0: nothing, only wait; 1: drain; 2: undrain. Of a later version: refused.
    #[n(0)]
    pub(in crate::cluster) order: u32,
    /// Which service; all of the node's where it is left out.
    #[n(1)]
    pub(in crate::cluster) service: Option<String>,
    /// How long to wait for the balancers, in milliseconds.
    #[n(2)]
    pub(in crate::cluster) wait_ms: u64,
    /// What is waited for: whether that it serves, not that it is drained.
    #[n(3)]
    pub(in crate::cluster) serves: Option<bool>,
}

/// What came of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(in crate::cluster) struct OrderBody {
    /// Why it was refused; what follows says nothing then.
    #[n(0)]
    pub(in crate::cluster) refused: Option<String>,
    /// The life of the node that says so.
    #[n(1)]
    pub(in crate::cluster) epoch: u64,
    /// From which version of its record on it holds.
    #[n(2)]
    pub(in crate::cluster) version: u64,
    /// The balancers that have confirmed it.
    #[n(3)]
    pub(in crate::cluster) confirmed: Option<Vec<String>>,
    /// Those that have not, and why.
    #[n(4)]
    pub(in crate::cluster) missing: Option<BTreeMap<String, String>>,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Reply {
    /// To [`Question::Presence`].
    Here,
    /// To [`Question::Exchange`]: go on.
    Welcome {
        /// The highest epoch that is known of the caller's name.
        known: Option<u64>,
    },
    /// To [`Question::Exchange`]: the caller's name is held by another, which answers.
    Held(Identity),
    /// To [`Question::Drained`]: whether it is.
    Drained(bool),
    /// To [`Question::Order`].
    Order(OrderBody),
}

const HELLO: u8 = 1;
const EXCHANGE: u8 = 2;
const PRESENCE: u8 = 3;
const DRAINED: u8 = 4;
const ORDER: u8 = 5;
const EVERYTHING: u8 = 6;

impl Hello {
    pub(in crate::cluster) fn to_bytes(&self) -> Vec<u8> {
        cbor::behind(&[HELLO], self)
    }

    pub(in crate::cluster) fn from_bytes(payload: &[u8]) -> Result<Self, Rejected> {
        match payload.split_first() {
            Some((&HELLO, body)) => read(body),
            _ => Err(Rejected::Malformed),
        }
    }
}

/// The body of a message that says nothing yet: later versions may add fields.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Empty {}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ExchangeBody {
    #[n(0)]
    joining: Option<bool>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WelcomeBody {
    #[n(0)]
    holder: Option<Identity>,
    #[n(1)]
    known: Option<u64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct DrainedBody {
    #[n(0)]
    drained: bool,
}

impl Question {
    pub(in crate::cluster) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Exchange { joining } => cbor::behind(&[EXCHANGE], &ExchangeBody { joining: Some(*joining) }),
            Self::Presence => cbor::behind(&[PRESENCE], &Empty {}),
            Self::Drained(ask) => cbor::behind(&[DRAINED], ask),
            Self::Order(ask) => cbor::behind(&[ORDER], ask),
            Self::Everything => cbor::behind(&[EVERYTHING], &Empty {}),
        }
    }

    pub(in crate::cluster) fn from_bytes(payload: &[u8]) -> Result<Self, Rejected> {
        match payload.split_first() {
            Some((&EXCHANGE, body)) => {
                read(body).map(|ExchangeBody { joining }| Self::Exchange { joining: joining.unwrap_or_default() })
            }
            Some((&PRESENCE, body)) => read(body).map(|Empty {}| Self::Presence),
            Some((&DRAINED, body)) => read(body).map(Self::Drained),
            Some((&ORDER, body)) => read(body).map(Self::Order),
            Some((&EVERYTHING, body)) => read(body).map(|Empty {}| Self::Everything),
            _ => Err(Rejected::Malformed),
        }
    }
}

impl Reply {
    pub(in crate::cluster) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Here => cbor::behind(&[PRESENCE], &Empty {}),
            Self::Welcome { known } => cbor::behind(&[EXCHANGE], &WelcomeBody { holder: None, known: *known }),
            Self::Held(holder) => cbor::behind(&[EXCHANGE], &WelcomeBody { holder: Some(holder.clone()), known: None }),
            Self::Drained(drained) => cbor::behind(&[DRAINED], &DrainedBody { drained: *drained }),
            Self::Order(body) => cbor::behind(&[ORDER], body),
        }
    }

    pub(in crate::cluster) fn from_bytes(payload: &[u8]) -> Result<Self, Rejected> {
        match payload.split_first() {
            Some((&PRESENCE, body)) => read(body).map(|Empty {}| Self::Here),
            Some((&EXCHANGE, body)) => {
                read(body).map(|WelcomeBody { holder, known }| holder.map_or(Self::Welcome { known }, Self::Held))
            }
            Some((&DRAINED, body)) => read(body).map(|DrainedBody { drained }| Self::Drained(drained)),
            Some((&ORDER, body)) => read(body).map(Self::Order),
            _ => Err(Rejected::Malformed),
        }
    }
}

fn read<'b, T: Decode<'b, ()>>(body: &'b [u8]) -> Result<T, Rejected> {
    minicbor::decode(body).map_err(|_| Rejected::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity() -> Identity {
        Identity::new("web1".parse().unwrap(), 7, "10.0.0.1:7946".parse().unwrap())
    }

    fn drain_ask() -> DrainAsk {
        DrainAsk { node: "web1".into(), epoch: 7, version: 2, wait_ms: 5000, serves: None }
    }

    fn order_ask() -> OrderAsk {
        OrderAsk { order: 1, service: Some("web".into()), wait_ms: 1000, serves: None }
    }

    fn ordered() -> OrderBody {
        let missing = BTreeMap::from([("proxy2".into(), "slow".into())]);
        let confirmed = Some(vec!["proxy".into()]);
        OrderBody { refused: None, epoch: 7, version: 3, confirmed, missing: Some(missing) }
    }

    #[test]
    fn what_is_said_is_heard() {
        let serves = DrainAsk { serves: Some(true), ..drain_ask() };
        let questions = [
            Question::Exchange { joining: true },
            Question::Presence,
            Question::Drained(drain_ask()),
            Question::Drained(serves),
            Question::Order(order_ask()),
            Question::Everything,
        ];
        for question in questions {
            assert_eq!(Question::from_bytes(&question.to_bytes()), Ok(question));
        }
        let held = Reply::Held(identity());
        let refused = OrderBody { refused: Some("it leaves".into()), ..OrderBody::default() };
        let replies = [
            Reply::Here,
            Reply::Welcome { known: Some(7) },
            held,
            Reply::Drained(true),
            Reply::Drained(false),
            Reply::Order(ordered()),
            Reply::Order(refused),
        ];
        for reply in replies {
            assert_eq!(Reply::from_bytes(&reply.to_bytes()), Ok(reply));
        }
        let hello = Hello { from: identity(), number: [7; 16].into() };
        assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
    }

    /// As version 1 wrote them: every later version must read them.
    #[test]
    fn golden() {
        let hello = Hello { from: identity(), number: [7; 16].into() };
        let check = |golden: &str, written: Vec<u8>| assert_eq!(hex::encode(written), golden.replace(' ', ""));
        let identity = "84 6477656231 07 44 0a000001 191f0a";
        check(&format!("01 a2 00 {identity} 01 50 {}", "07".repeat(16)), hello.to_bytes());
        check("02 a1 00 f5", Question::Exchange { joining: true }.to_bytes());
        check("03 a0", Question::Presence.to_bytes());
        check("04 a4 00 6477656231 01 07 02 02 03 191388", Question::Drained(drain_ask()).to_bytes());
        check("05 a3 00 01 01 63776562 02 1903e8", Question::Order(order_ask()).to_bytes());
        check("06 a0", Question::Everything.to_bytes());
        check(
            "05 a4 01 07 02 03 03 81 6570726f7879 04 a1 6670726f787932 64736c6f77",
            Reply::Order(ordered()).to_bytes(),
        );
        check("03 a0", Reply::Here.to_bytes());
        check("02 a1 01 07", Reply::Welcome { known: Some(7) }.to_bytes());
        check(&format!("02 a1 00 {identity}"), Reply::Held(self::identity()).to_bytes());
        check("04 a1 00 f5", Reply::Drained(true).to_bytes());
    }

    #[test]
    fn fields_of_a_later_version_are_skipped() {
        // {0: "web1", 1: 7, 2: 2, 3: 5000, 9: [1, {2: "x"}]}
        let mut later = vec![DRAINED];
        minicbor::Encoder::new(&mut later)
            .map(5)
            .and_then(|e| e.u8(0)?.str("web1")?.u8(1)?.u64(7)?.u8(2)?.u64(2)?.u8(3)?.u64(5000))
            .and_then(|e| e.u8(9)?.array(2)?.u8(1)?.map(1)?.u8(2)?.str("x"))
            .unwrap();
        assert_eq!(Question::from_bytes(&later), Ok(Question::Drained(drain_ask())));
        assert_eq!(Question::from_bytes(&[EXCHANGE, 0xa1, 0x05, 0x01]), Ok(Question::Exchange { joining: false }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0u8..7) {
            let bytes = [vec![kind], bytes].concat();
            // Either result will do: what must not happen is a panic.
            let _ = (Hello::from_bytes(&bytes), Question::from_bytes(&bytes), Reply::from_bytes(&bytes));
        }
    }
}
