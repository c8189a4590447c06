//! One node of the gossip cluster, without any IO: inputs come in, effects go out.
//!
//! Wraps foca with the cures that it needs, keeps everybody's records, tells balancers of changes directly,
//! and, on a balancer, asks suspects in person. Pure: time and randomness are handed in; whoever owns it
//! does what the effects say, and wakes it at `next_deadline`.

mod cures;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use rand::rngs::StdRng;

pub use cures::Cures;

use super::{exchange::Exchange, identity::Identity, profile::Profile};
use crate::model::{Liveness, Moment, NodeName, RawRecord, Snapshot};

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
    /// The largest payload of a datagram, in bytes: what the envelope leaves.
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
    /// The node says something else of itself from now on; name, epoch and version are filled in. The same
    /// again changes nothing.
    Record(RawRecord),
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
    /// Exchange everything with a member over TCP: send [`Node::open_exchange`], feed the answer in, send
    /// [`Node::finish_exchange`]. Nothing needs to be said of a failure: the node asks again.
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
    /// The node was declared down and began a new life: keep its epoch.
    Renewed {
        /// The epoch of the new life.
        epoch: u64,
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

/// One node of the cluster.
pub struct Node {
    config: NodeConfig,
    rng: StdRng,
}

impl Node {
    /// A node that begins now, alone. It joins when its owner exchanges with somebody.
    pub fn new(config: NodeConfig, rng: StdRng, now: Moment) -> Self {
        let _ = now;
        Self { config, rng }
    }

    /// Takes an input. What must be done is added to `effects`, in order.
    pub fn handle(&mut self, now: Moment, input: Input<'_>, effects: &mut Vec<Effect>) {
        todo!("{now:?} {input:?} {effects:?} {:?}", self.rng)
    }

    /// Does what is due. Datagrams that wait are to be handled first: an answer may be among them.
    pub fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        todo!("{now:?} {effects:?}")
    }

    /// When [`Node::tick`] is next due, if ever.
    pub fn next_deadline(&self) -> Option<Moment> {
        todo!()
    }

    /// Who this node is now: a renewed life has another epoch.
    pub fn identity(&self) -> &Identity {
        &self.config.identity
    }

    /// Everybody that is known, this node included.
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }

    /// What is known of a name: the join handshake answers with it.
    pub fn known(&self, name: &NodeName) -> Option<Known> {
        todo!("{name}")
    }

    /// Whether a living member (a suspect is one) is reached at this address: if not, a join address is tried again.
    pub fn is_living(&self, addr: SocketAddr) -> bool {
        todo!("{addr}")
    }

    /// What the caller of an exchange sends first.
    pub fn open_exchange(&self) -> Exchange {
        todo!()
    }

    /// What the one who is called answers, once it has fed the opening in.
    pub fn answer_exchange(&self, opening: &Exchange) -> Exchange {
        todo!("{opening:?}")
    }

    /// What the caller sends last, once it has fed the answer in: the records that the other lacks.
    pub fn finish_exchange(&self, answer: &Exchange) -> Exchange {
        todo!("{answer:?}")
    }
}
