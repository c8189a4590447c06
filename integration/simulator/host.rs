//! A host of the simulated cluster, and what nodes say of themselves.

use std::{collections::BTreeMap, net::SocketAddr};

use backchat::{
    cluster::{
        node::{Effect, Node},
        records,
    },
    model::{Kind, Liveness, Moment, NodeName, RawOffer, RawRecord},
};

use super::{checks::Checks, plane::Plane};

/// A host, with a node or without.
pub(super) struct Host {
    pub(super) name: NodeName,
    pub(super) addr: SocketAddr,
    pub(super) kind: Kind,
    pub(super) joins: Vec<SocketAddr>,
    pub(super) node: Option<Node>,
    /// What the node wanted that is neither a packet nor a question: its fate.
    pub(super) fate: Vec<(Moment, Effect)>,
    /// How the others' liveness changed in this node's eyes, where that is watched.
    pub(super) seen: Vec<(Moment, NodeName, Liveness)>,
    pub(super) watched: bool,
    /// What a balancer brings its data plane to, where that is watched.
    pub(super) plane: Option<Plane>,
    /// The checks of its servers, where it has any.
    pub(super) checks: Option<Checks>,
    pub(super) last: BTreeMap<NodeName, Liveness>,
    pub(super) stalled: Moment,
    pub(super) wake: Option<Moment>,
    /// Which process: what was meant for an earlier one is lost.
    pub(super) process: u32,
    /// Whether the host itself answers: a refused connection comes from a living host.
    pub(super) up: bool,
}

impl Host {
    /// Whether its process is still this one, and is to be woken for this.
    pub(super) fn awaits(&self, process: u32, due: Moment) -> bool {
        self.process == process && self.wake == Some(due)
    }
}

/// What a simulated node says of itself.
pub(super) fn record(kind: Kind, port: u32) -> RawRecord {
    let offer = RawOffer {
        name: "web".into(),
        port,
        hosts: vec!["www.example.com".into()],
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    let services = if kind == Kind::Agent { vec![offer] } else { Vec::new() };
    RawRecord { kind, services, ..RawRecord::default() }
}

/// A record whose bytes are `size` many, in the second version of a first life; up to 4 KiB.
pub(super) fn record_of(size: usize) -> RawRecord {
    let mut record = RawRecord { node: "n5".into(), epoch: 1000, version: 2, ..record(Kind::Agent, 9090) };
    // A text of more than 255 bytes says its length in two more.
    let filling = size - records::encode(&record).unwrap().len();
    record.tags.insert("f".into(), "x".repeat(filling.saturating_sub(if filling > 260 { 7 } else { 5 })));
    record
}
