//! A record: what a node says of itself. Raw as it came; `desired` turns it into newtypes or rejections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Drains;

/// What a node says of itself, not yet trusted: every text in it may be hostile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRecord {
    /// Who says it.
    pub node: String,
    /// Which life of the node said it.
    pub epoch: u64,
    /// Counts up within a life; the highest (epoch, version) wins.
    pub version: u64,
    /// What the node is.
    pub kind: Kind,
    /// How the node is.
    pub state: State,
    /// What it offers.
    pub services: Vec<RawOffer>,
    /// Free tags, and Serf's reserved ones.
    pub tags: BTreeMap<String, String>,
    /// What an operator took out by hand.
    #[serde(default)]
    pub by_hand: Drains,
    /// At a balancer: whether its data plane serves on when it has left.
    #[serde(default)]
    pub plane_stays: bool,
}

/// A service that a node says it offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawOffer {
    /// The service.
    pub name: String,
    /// Where on the node.
    pub port: u32,
    /// Which hosts it wants to answer; none for the default.
    pub hosts: Vec<String>,
    /// Which path it wants to answer.
    pub path: Option<String>,
    /// Its share of the traffic.
    pub weight: Option<u32>,
    /// `http` or `tcp`.
    pub protocol: Option<String>,
    /// Whether it passes the node's own check of it.
    pub healthy: bool,
}

/// What a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Beside a service.
    #[default]
    Agent,
    /// Beside a load balancer: told of changes first, and never an endpoint.
    Balancer,
}

/// How a node is, by its own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It serves.
    #[default]
    Serving,
    /// It takes no new requests and ends what runs.
    Draining,
    /// It is gone by its own will.
    Left,
}

impl RawRecord {
    /// Which of two records of one node is newer: the higher (epoch, version).
    pub fn age(&self) -> (u64, u64) {
        (self.epoch, self.version)
    }
}
