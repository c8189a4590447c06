//! Who says that a service is served, source by source: members by their records, files by what they list.

use std::net::SocketAddr;

use super::Policy;
use crate::model::{
    EndpointAddr, EndpointState, HostPattern, Kind, Listed, Liveness, Member, PathPrefix, Protocol, Rejection,
    ServiceName, Snapshot, SourceName, State,
    offers::{Offer, offers},
};

/// Rejections of one source that are told.
const REFUSED_MAX: usize = 1000;

/// A word that a service is served: an offer of a member that lives, at an address that may be used, or what a file
/// lists.
pub(in crate::model) struct Serving<'a> {
    /// Whose word it is.
    pub(in crate::model) source: &'a SourceName,
    /// The place of that source among all: what an earlier one says counts first.
    order: usize,
    /// The service whose canary it is for: whose hosts it claims.
    home: Option<ServiceName>,
    pub(super) by: By<'a>,
}

/// Who serves.
pub(super) enum By<'a> {
    Member { member: &'a Member, offer: Offer, addr: EndpointAddr, state: EndpointState },
    List { service: &'a ServiceName, listed: &'a Listed },
}

impl<'a> Serving<'a> {
    pub(in crate::model) fn service(&self) -> &ServiceName {
        match &self.by {
            By::Member { offer, .. } => &offer.service,
            By::List { service, .. } => service,
        }
    }

    /// The service that its hosts reach.
    pub(in crate::model) fn claimant(&self) -> &ServiceName {
        self.home.as_ref().unwrap_or_else(|| self.service())
    }

    pub(in crate::model) fn hosts(&self) -> &[HostPattern] {
        match &self.by {
            By::Member { offer, .. } => &offer.hosts,
            By::List { listed, .. } => &listed.hosts,
        }
    }

    pub(in crate::model) fn path(&self) -> &PathPrefix {
        match &self.by {
            By::Member { offer, .. } => &offer.path,
            By::List { listed, .. } => &listed.path,
        }
    }

    pub(in crate::model) fn protocol(&self) -> Protocol {
        match &self.by {
            By::Member { offer, .. } => offer.protocol,
            By::List { listed, .. } => listed.protocol,
        }
    }

    /// Who has what it claims: a member, or a file whatever the line.
    pub(in crate::model) fn holder(&self) -> &str {
        match &self.by {
            By::Member { member, .. } => member.name.as_str(),
            By::List { .. } => self.source,
        }
    }

    /// What comes first has it, where several come at once: the earlier source, and of its members the oldest life.
    pub(super) fn rank(&self) -> (usize, u64, &str) {
        match &self.by {
            By::Member { member, .. } => (self.order, member.epoch, member.name.as_str()),
            By::List { service, .. } => (self.order, 0, service.as_str()),
        }
    }

    pub(super) fn member(&self) -> Option<&'a Member> {
        match &self.by {
            By::Member { member, .. } => Some(member),
            By::List { .. } => None,
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        matches!(self.by, By::List { .. })
    }

    /// What it says of the service was not taken.
    pub(super) fn refused(&self, code: &'static str, why: String) -> Rejection {
        self.rejection(format!("service {}", self.service()), code, why)
    }

    /// Something it says was not taken.
    pub(in crate::model) fn rejection(&self, subject: String, code: &'static str, why: String) -> Rejection {
        let node = match &self.by {
            By::Member { member, .. } => member.name.to_string(),
            By::List { listed, .. } => listed.place.of(self.source),
        };
        Rejection { node, subject, service: Some(self.service().clone()), why, code }
    }
}

/// All that is served by the word of these sources. Total: what cannot be taken is a rejection.
pub(super) fn serving<'a>(
    snapshots: &'a [Snapshot],
    policy: &Policy,
    refused: &mut Vec<Rejection>,
) -> Vec<Serving<'a>> {
    let mut all = Vec::new();
    for (order, snapshot) in snapshots.iter().enumerate() {
        refused.extend(told(snapshot));
        let source = &snapshot.source;
        let word = |by: By<'a>| {
            let service = match &by {
                By::Member { offer, .. } => &offer.service,
                By::List { service, .. } => service,
            };
            Serving { source, order, home: policy.services.home(service).cloned(), by }
        };
        for member in snapshot.members.values() {
            let offered = by_member(member, policy, refused);
            all.extend(offered.into_iter().map(word));
        }
        let listed = snapshot.services.iter().map(|(service, listed)| By::List { service, listed });
        all.extend(listed.map(word));
    }
    all
}

/// What a source lists that cannot be taken: of very much the first, and how much more there is.
fn told(snapshot: &Snapshot) -> impl Iterator<Item = Rejection> {
    let more = snapshot.refused.len().saturating_sub(REFUSED_MAX);
    let rest = (more > 0).then(|| Rejection {
        node: snapshot.source.to_string(),
        subject: "much of it".into(),
        service: None,
        why: format!("{more} more of its entries cannot be taken"),
        code: "bounds",
    });
    snapshot.refused.iter().take(REFUSED_MAX).cloned().chain(rest)
}

/// Every sound offer of a member that lives and is no balancer.
fn by_member<'a>(member: &'a Member, policy: &Policy, refused: &mut Vec<Rejection>) -> Vec<By<'a>> {
    if is_gone(member) {
        return Vec::new();
    }
    refused.extend(member.refused.iter().map(|why| unread(member, why)));
    let Some(record) = member.record.as_ref().filter(|record| record.kind != Kind::Balancer) else {
        return Vec::new();
    };
    let (offers, bad) = offers(record, &policy.roles, &policy.services);
    refused.extend(bad);
    let mut all = Vec::new();
    for offer in offers.into_iter().filter(|o| o.healthy) {
        match address(member, &offer, policy) {
            Ok(addr) => {
                // By hand it is drained by the name that it has at its node.
                let own = policy.services.home(&offer.service).unwrap_or(&offer.service);
                let draining = record.is_draining(own.as_str());
                let state = if draining { EndpointState::Drain } else { EndpointState::Ready };
                all.push(By::Member { member, offer, addr, state });
            }
            Err(why) => {
                let subject = format!("service {}", offer.service);
                let (node, service) = (member.name.to_string(), Some(offer.service));
                refused.push(Rejection { node, subject, service, why, code: "address" });
            }
        }
    }
    all
}

fn is_gone(member: &Member) -> bool {
    let left = member.record.as_ref().is_some_and(|record| record.state == State::Left);
    left || matches!(member.liveness, Liveness::Failed | Liveness::Left)
}

/// A record that cannot be read: what the member said before holds on.
fn unread(member: &Member, why: &str) -> Rejection {
    let (node, subject) = (member.name.to_string(), "record".into());
    Rejection { node, subject, service: None, why: why.to_owned(), code: "record" }
}

/// A backend's address is where its node gossips from: nobody can point the balancer at another host.
fn address(member: &Member, offer: &Offer, policy: &Policy) -> Result<EndpointAddr, String> {
    let addr = EndpointAddr::try_from(SocketAddr::new(member.addr.ip(), offer.port)).map_err(|e| e.to_string())?;
    if addr.get().ip().is_loopback() && !policy.allow_loopback {
        return Err(format!("{addr} is on loopback: --allow-loopback takes it"));
    }
    Ok(addr)
}
