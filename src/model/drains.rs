//! What an operator took out of service by hand: kept by the node itself, told in its record, and judged here
//! before it is ordered. Pure.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Liveness, NameError, NodeName, RawRecord, ServiceName, Snapshot, State};

/// What was taken out by hand at one node; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drains {
    /// The node as a whole. Its record then says [`State::Draining`] too, which every version understands.
    pub node: bool,
    /// Single services of it, as they came: raw like all that a record says.
    pub services: BTreeSet<String>,
}

/// What an order is about: a node, or one service of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The node.
    pub node: NodeName,
    /// The service; all of them where `None`.
    pub service: Option<ServiceName>,
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No new requests from now on.
    Drain,
    /// Requests again.
    Undrain,
}

/// Why an order cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// There is, and it is not in a state for it.
    #[error("{0}")]
    Conflict(String),
    /// The node did not answer.
    #[error("{0}")]
    Unreached(String),
}

impl Drains {
    /// Whether nothing is out.
    pub fn is_empty(&self) -> bool {
        !self.node && self.services.is_empty()
    }

    /// Whether this is out, by an order of its own or of the whole node.
    pub fn covers(&self, service: Option<&ServiceName>) -> bool {
        self.node || service.is_some_and(|service| self.services.contains(service.as_str()))
    }

    /// What is out after one more order. Putting the node back puts all of it back.
    ///
    /// # Errors
    /// One service cannot be put back while the whole node is out.
    pub fn after(&self, order: Order, target: &Target) -> Result<Self, Obstacle> {
        let mut after = self.clone();
        match (order, &target.service) {
            (Order::Drain, None) => after.node = true,
            (Order::Undrain, None) => after = Self::default(),
            (Order::Drain, Some(service)) => drop(after.services.insert(service.to_string())),
            (Order::Undrain, Some(_)) if self.node => {
                let node = &target.node;
                return Err(Obstacle::Conflict(format!("{node} is drained as a whole: 'backchat undrain {node}'")));
            }
            (Order::Undrain, Some(service)) => drop(after.services.remove(service.as_str())),
        }
        Ok(after)
    }
}

impl RawRecord {
    /// Whether a service takes no new requests here, by the node's own word or by hand.
    pub fn is_draining(&self, service: &str) -> bool {
        self.state != State::Serving || self.by_hand.services.contains(service)
    }

    /// Whether this node offers a service.
    ///
    /// # Errors
    /// It does not; with those it does.
    pub fn offers_service(&self, service: &ServiceName) -> Result<(), Obstacle> {
        let offered: BTreeSet<&str> = services(self).collect();
        if offered.contains(service.as_str()) {
            return Ok(());
        }
        let all: Vec<_> = offered.into_iter().collect();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        Err(Obstacle::Unknown(format!("{} offers no service {service}; it offers {all}", self.node)))
    }
}

/// The names of all services that a record offers: by Serf's habit its role, where it names none.
fn services(record: &RawRecord) -> impl Iterator<Item = &str> {
    let role = record.tags.get("role").filter(|_| record.services.is_empty());
    record.services.iter().map(|offer| offer.name.as_str()).chain(role.map(String::as_str))
}

impl Target {
    /// Whether there is such a living node, and such a service of it.
    ///
    /// # Errors
    /// There is not; in words that say what there is.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Obstacle> {
        let node = &self.node;
        let Some(member) = snapshot.members.get(node) else {
            let agents = snapshot.members.values().filter(|m| m.lives() && !m.is_balancer());
            let agents: Vec<_> = agents.map(|m| m.name.as_str()).collect();
            let agents = if agents.is_empty() { "none".to_owned() } else { agents.join(", ") };
            return Err(Obstacle::Unknown(format!("no member is called {node}; there are {agents}")));
        };
        if !member.lives() {
            let why = format!("{node} is not alive, it {}: there is nothing to order", ended(member.liveness));
            return Err(Obstacle::Conflict(why));
        }
        if member.is_balancer() {
            return Err(Obstacle::Conflict(format!("{node} is a balancer: it offers no service")));
        }
        match (&self.service, &member.record) {
            (Some(service), Some(record)) => record.offers_service(service),
            _ => Ok(()),
        }
    }

    /// The services that nobody else would be left to serve, were this drained.
    pub fn last_ones(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        let Some(record) = snapshot.members.get(&self.node).and_then(|m| m.record.as_ref()) else {
            return BTreeSet::new();
        };
        let chosen = |service: &&str| self.service.as_ref().is_none_or(|one| one.as_str() == *service);
        let ready = services(record).filter(chosen).filter(|service| is_ready(record, service));
        ready.filter(|service| !self.others_serve(service, snapshot)).map(str::to_owned).collect()
    }

    fn others_serve(&self, service: &str, snapshot: &Snapshot) -> bool {
        let others = snapshot.members.values().filter(|m| m.name != self.node && m.lives() && !m.is_balancer());
        others.filter_map(|m| m.record.as_ref()).any(|record| is_ready(record, service))
    }
}

/// Whether a record offers a service for new requests.
fn is_ready(record: &RawRecord, service: &str) -> bool {
    let healthy = |name: &str| record.services.iter().all(|offer| offer.name != name || offer.healthy);
    !record.is_draining(service) && services(record).any(|name| name == service && healthy(name))
}

fn ended(liveness: Liveness) -> &'static str {
    if liveness == Liveness::Left { "has left" } else { "has failed" }
}

impl FromStr for Target {
    type Err = String;

    /// Takes `NODE` and `NODE/SERVICE`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: NameError| error.to_string();
        let (node, service) = match text.split_once('/') {
            Some((node, service)) => (node, Some(service.parse().map_err(wrong)?)),
            None => (text, None),
        };
        Ok(Self { node: node.parse().map_err(wrong)?, service })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => f.pad(&format!("{}/{service}", self.node)),
            None => f.pad(self.node.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
