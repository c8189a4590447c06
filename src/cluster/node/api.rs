//! What goes into a node and what comes out: all that its owner must know.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use bytes::Bytes;

use super::Cures;
use crate::{
    cluster::{exchange::Exchange, identity::Identity, profile::Profile},
    model::{Liveness, NodeName, RawRecord},
};

/// What a node needs to begin.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Who it is. The epoch is above all that is known of the name: see `identity::first_epoch`.
    pub identity: Identity,
    /// The timings.
    pub profile: Profile,
    /// What it says of itself at first; name, epoch and version are filled in.
    pub record: RawRecord,
    /// Whether there are addresses to join: if so, it is synced after the first full exchange, else at once.
    pub joins: bool,
    /// The largest payload of a datagram, in bytes: what the envelope leaves. At least 600.
    pub max_payload: usize,
    /// Which of foca's ills are cured; all of them, but for tests.
    #[doc(hidden)]
    pub cures: Cures,
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came, and its envelope was opened.
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// What was in the envelope.
        payload: &'a [u8],
    },
    /// One side of an exchange came: an opening, an answer or a remainder.
    Exchange(&'a Exchange),
    /// What came of [`Effect::AskTcp`].
    Asked {
        /// Who was asked.
        who: Identity,
        /// What came of it.
        outcome: Outcome,
    },
    /// At a balancer: the members whose checks by its data plane fail now, though they passed before; all of them.
    /// Those that are new are asked in person.
    Failing(&'a BTreeSet<NodeName>),
    /// The node says something else of itself from now on; name, epoch and version are filled in. The same
    /// again changes nothing.
    Record(RawRecord),
    /// The node's own address is another from now on, and the one before leads to it no more. The same again changes
    /// nothing.
    Moved(SocketAddr),
    /// The node leaves: [`Effect::Left`] follows within half a second.
    Leave,
}

/// What came of connecting to a suspect's gossip port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Connected,
    /// The host said that nobody listens.
    Refused,
    /// Nothing came in time, or the network said that the host cannot be reached.
    Silent,
}

/// What the owner of a node must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a datagram.
    Send {
        /// Where.
        to: SocketAddr,
        /// What, before the envelope.
        payload: Bytes,
    },
    /// Exchange everything with a member over TCP: send [`Node::open_exchange`](super::Node::open_exchange), feed the answer in, send
    /// [`finish_exchange`](super::Node::finish_exchange). Nothing needs to be said of a failure: the node asks again.
    Exchange {
        /// With whom.
        with: SocketAddr,
        /// What for.
        why: Why,
    },
    /// Connect to a suspect's gossip port over TCP, close, and say what came of it.
    AskTcp {
        /// Whom.
        who: Identity,
        /// How long to wait.
        within: Duration,
    },
    /// The snapshot is another now.
    Changed,
    /// The node was declared down, or moved, and began a new life: keep its epoch.
    Renewed {
        /// The epoch of the new life.
        epoch: u64,
        /// Where it is reached from now on, if that is another place.
        moved: Option<SocketAddr>,
    },
    /// Another living node holds the name. This one is done: nothing is sent or taken from now on.
    NameLost {
        /// Who holds it.
        by: Identity,
    },
    /// The leave was told. This node is done.
    Left,
}

/// What an exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is time for one.
    Periodic,
    /// That member's record is not here.
    Unknown,
    /// That member said that its record has changed.
    Announced,
}

/// What is known of the holder of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The latest life.
    pub identity: Identity,
    /// Whether it lives, as far as this node knows.
    pub liveness: Liveness,
}
