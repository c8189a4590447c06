//! What a file lists: services and their endpoints, each in newtypes, with the line it stands on.
//!
//! Unlike an offer, which is a member's word of itself, this is the operator's word of others: addresses are whatever
//! he writes, loopback included, and nobody fails or flaps.

use std::collections::BTreeMap;

use super::{EndpointAddr, EndpointName, EndpointState, HostPattern, PathPrefix, Protocol, Weight};

/// A service that a file lists. It is there, routes and all, as long as it is listed, without endpoints too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The line that names it, from 1.
    pub line: usize,
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
    /// The line that it begins on, from 1.
    pub line: usize,
    /// Where it listens.
    pub addr: EndpointAddr,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Whether it is to take new requests.
    pub state: EndpointState,
}
