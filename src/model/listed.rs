//! What a file or a store lists: services and their endpoints, each in newtypes, with the place where it stands.
//!
//! Unlike an offer, which is a member's word of itself, this is the operator's word of others: addresses are whatever
//! he writes, loopback included, and nobody fails or flaps.

use std::{collections::BTreeMap, sync::Arc};

use super::{EndpointAddr, EndpointName, EndpointState, HostPattern, PathPrefix, Protocol, Weight};

/// Where in its source something stands, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, from 1.
    Line(usize),
    /// A key of a store: `frontend:www.example.com`.
    Key(Arc<str>),
}

impl Place {
    /// This place of that source: `/etc/services.toml:12` as compilers write it, `redis://10.0.0.5 frontend:example.com`.
    pub fn of(&self, source: &str) -> String {
        match self {
            Self::Line(line) => format!("{}:{line}", source.strip_prefix("file:").unwrap_or(source)),
            Self::Key(key) => format!("{source} {key}"),
        }
    }

    /// The key of a store that it is.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Line(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

/// What the name of a service begins with that stands for a frontend of a store; no member may take such a one.
pub const FRONTEND: &str = "hipache.";

/// A service that a file lists. It is there, routes and all, as long as it is listed, without endpoints too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is named.
    pub place: Place,
    /// Which hosts it answers; none means the default.
    pub hosts: Vec<HostPattern>,
    /// Which path it answers.
    pub path: PathPrefix,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its endpoints.
    pub endpoints: BTreeMap<EndpointName, ListedEndpoint>,
}

/// An endpoint that a file lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEndpoint {
    /// Where it begins.
    pub place: Place,
    /// Where it listens.
    pub addr: EndpointAddr,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Whether it is to take new requests.
    pub state: EndpointState,
}
