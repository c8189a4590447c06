//! What became of an endpoint, from its member's record to the live server, and why: for people who wonder. Pure.

use std::collections::{BTreeMap, BTreeSet};

use backchat_contract::Reason;

use super::{
    Endpoint, EndpointId, EndpointName, EndpointState, FRONTEND, Member, Moment, Service, ServiceName, Snapshot,
    Status, offers::declared, owner::node_of_name, reasons,
};

/// An endpoint that is, should be, or might be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Which.
    pub id: EndpointId,
    /// As it was read back.
    pub live: Option<Endpoint>,
    /// As it should be, after the guard.
    pub desired: Option<Endpoint>,
    /// Whether it fails the data plane's own check.
    pub down: bool,
    /// What keeps it: `h3c9`.
    pub hold: Option<String>,
    /// Why it is not simply there; `None` where it is.
    pub reason: Option<Reason>,
}

/// Every endpoint of a service that is somewhere on the way, by name.
pub fn of_service(service: &ServiceName, status: &Status, members: &Snapshot, now: Moment) -> Vec<Fate> {
    let sides = [&status.live, &status.desired].map(|set| set.services.get(service));
    let there = sides.into_iter().flatten().flat_map(|s| s.endpoints.keys().cloned());
    let out = status.flapping.iter().flat_map(|f| &f.endpoints).filter(|id| id.service == *service);
    let offered = members.members.values().filter(|m| !m.is_balancer()).flat_map(|m| offered(service, m, status));
    let names: BTreeSet<EndpointName> = there.chain(out.map(|id| id.endpoint.clone())).chain(offered).collect();
    names
        .into_iter()
        .map(|endpoint| Fate::of(EndpointId { service: service.clone(), endpoint }, status, members, now))
        .collect()
}

/// Every endpoint of a node, by service and name.
pub fn of_member(member: &Member, status: &Status, members: &Snapshot, now: Moment) -> Vec<Fate> {
    let of = |name: &EndpointName| node_of_name(name).as_ref() == Some(&member.name);
    let there = [&status.live, &status.desired].into_iter().flat_map(|set| set.endpoints().map(|(id, _)| id));
    let out = status.flapping.iter().flat_map(|f| f.endpoints.iter().cloned());
    let offers = member.record.iter().flat_map(|record| declared(record, &status.roles, &status.services).into_owned());
    let services = offers.filter_map(|offer| offer.name.parse::<ServiceName>().ok());
    let offered = services.filter(|_| !member.is_balancer()).flat_map(|service| {
        offered(&service, member, status)
            .into_iter()
            .map(move |endpoint| EndpointId { service: service.clone(), endpoint })
    });
    let ids: BTreeSet<EndpointId> = there.chain(out).filter(|id| of(&id.endpoint)).chain(offered).collect();
    ids.into_iter().map(|id| Fate::of(id, status, members, now)).collect()
}

/// What the endpoints of a service are called that a member offers.
fn offered(service: &ServiceName, member: &Member, status: &Status) -> Vec<EndpointName> {
    let Some(record) = &member.record else { return Vec::new() };
    let offers = declared(record, &status.roles, &status.services);
    let ports: Vec<u32> = offers.iter().filter(|o| o.name == service.as_str()).map(|o| o.port).collect();
    match ports[..] {
        [] => Vec::new(),
        [_] => vec![EndpointName::from(&member.name)],
        _ => ports.iter().filter_map(|port| format!("{}:{port}", member.name).parse().ok()).collect(),
    }
}

impl Fate {
    fn of(id: EndpointId, status: &Status, members: &Snapshot, now: Moment) -> Self {
        let hold = status.held.iter().find(|hold| hold.endpoints.contains(&id)).map(|hold| hold.id.clone());
        let fate = Self {
            live: status.live.endpoint(&id).cloned(),
            desired: status.desired.endpoint(&id).cloned(),
            down: status.down.contains(&id),
            hold,
            reason: None,
            id,
        };
        Self { reason: fate.why(status, members, now), ..fate }
    }

    /// Whether it takes new requests, by what was read back.
    pub fn takes_requests(&self) -> bool {
        self.live.as_ref().is_some_and(|e| e.state == EndpointState::Ready && e.weight.get() > 0)
    }

    /// The nearest cause that keeps it from being ready, whatever further ones there are.
    fn why(&self, status: &Status, members: &Snapshot, now: Moment) -> Option<Reason> {
        let node = node_of_name(&self.id.endpoint);
        let listed = status.ledger.as_ref().and_then(|ledger| ledger.listed.get(&self.id));
        let reason = |code, text: String| {
            let node = listed.map(ToString::to_string).or(node.as_ref().map(ToString::to_string));
            Some(Reason { code, node, ago: None, text })
        };
        if let Some(hold) = &self.hold {
            return reason("hold", format!("kept by hold {hold}"));
        }
        if let Some(source) = listed {
            return match (&self.live, &self.desired) {
                (_, None) => reason("listed", format!("no longer in {source}")),
                (_, Some(e)) if e.state == EndpointState::Drain => {
                    let is_marked = self.id.service.as_str().starts_with(FRONTEND);
                    let says = if is_marked { "marks it dead (dead:HOST)" } else { "says drain" };
                    reason("listed", format!("{source} {says}"))
                }
                (None, Some(_)) => reason("listed", format!("listed by {source} a moment ago")),
                _ => None,
            };
        }
        if let Some(flap) = status.flapping.iter().find(|flap| flap.endpoints.contains(&self.id)) {
            let (often, left) = (flap.how_often(), flap.left.as_secs_f32().ceil());
            return reason("flapping", format!("came back {often}, held down for {left} s more"));
        }
        let member = node.as_ref().and_then(|node| members.members.get(node));
        let Some(member) = member else {
            return if self.desired.is_none() { reason("drift", "no member says so".into()) } else { None };
        };
        let said = self.said(member, status, now).or_else(|| self.refused(member, status));
        let coming = || match (&self.live, &self.desired) {
            (None, Some(_)) => Some(("joined", "is on its way".to_owned())),
            (None, None) => Some(("unseen", "not looked at yet".to_owned())),
            _ => None,
        };
        let (code, text) = said.or_else(coming)?;
        // Of all else it is not known since when.
        let ago = matches!(code, "failed" | "left" | "suspect").then(|| now.saturating_sub(member.since));
        reason(code, text).map(|reason| Reason { ago, ..reason })
    }

    /// What the member itself, or the cluster, says against it.
    fn said(&self, member: &Member, status: &Status, now: Moment) -> Option<(&'static str, String)> {
        let Some(record) = &member.record else {
            return Some(("record", "its record has not come yet".into()));
        };
        // By hand it is drained by the name that it has at its node.
        let own = status.services.home(&self.id.service).unwrap_or(&self.id.service);
        match reasons::said(member, own.as_str(), now) {
            Some(("suspect", text)) => {
                // It drains at most where it did not answer in person, and others serve.
                let drains = self.desired.as_ref().is_none_or(|e| e.state == EndpointState::Drain);
                let kept = if drains { "" } else { ", kept in" };
                Some(("suspect", format!("{text}{kept}, for {} s", now.saturating_sub(member.since).as_secs())))
            }
            None if offered(&self.id.service, member, status).is_empty() => {
                Some(("record", format!("record {} offers it no more", record.version)))
            }
            said => said,
        }
    }

    /// What of its word was not taken.
    fn refused(&self, member: &Member, status: &Status) -> Option<(&'static str, String)> {
        let service = &self.id.service;
        let subjects = [format!("service {service}"), format!("service {:?}", service.as_str()), "record".to_owned()];
        let of = |r: &&super::Rejection| r.node == member.name.as_str() && subjects.contains(&r.subject);
        if self.live.is_some() && self.desired.is_some() {
            return None;
        }
        status.rejections.iter().find(of).map(|r| (r.code, format!("refused: {}", r.why)))
    }
}

/// What differs between an endpoint as it is and as it should be; `None` where nothing does.
pub fn drift(fate: &Fate) -> Option<String> {
    let (Some(live), Some(desired)) = (&fate.live, &fate.desired) else { return None };
    let pair =
        |what: &str, is: String, should: String| (is != should).then(|| format!("{what}{is}, should be {should}"));
    let parts = [
        pair("", live.state.to_string(), desired.state.to_string()),
        pair("weight ", live.weight.to_string(), desired.weight.to_string()),
        pair("at ", live.addr.to_string(), desired.addr.to_string()),
    ];
    parts.into_iter().flatten().reduce(|all, one| all + "; " + &one)
}

/// Names that somebody may have meant, with what they are: `node web1`, `service web`.
pub fn meant(word: &str, status: Option<&Status>, members: &Snapshot) -> Vec<String> {
    let sets = status.into_iter().flat_map(|s| [&s.live, &s.desired]);
    let services: BTreeMap<&str, &Service> =
        sets.flat_map(|set| &set.services).map(|(name, service)| (name.as_str(), service)).collect();
    let known = members.members.keys().map(|n| ("node", n.as_str())).chain(services.keys().map(|s| ("service", *s)));
    let near = |name: &str| strsim::osa_distance(&word.to_lowercase(), &name.to_lowercase());
    let mut close: Vec<_> = known.map(|(kind, name)| (near(name), kind, name)).filter(|(d, ..)| *d <= 2).collect();
    close.sort_unstable();
    let nearest = close.first().map(|(distance, ..)| *distance);
    let close = close.into_iter().filter(|(distance, ..)| Some(*distance) == nearest);
    close.take(5).map(|(_, kind, name)| format!("{kind} {name}")).collect()
}

#[cfg(test)]
mod tests;
