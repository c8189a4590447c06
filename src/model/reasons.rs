//! Why a change of a plan happens: the member behind it, in words. Pure.

mod said;
mod texts;

use backchat_contract::{Action, Change, ChangeKind, ChangeStatus, Desired, Reason, words};

pub(in crate::model) use self::said::said;
use self::texts::{drift, member, operator, unknown};
use super::{
    Assumption, EndpointId, Flapping, Held, Ledger, Member, Moment, NodeName, Rejection, Route, ServiceName, Snapshot,
    ledger::Claim,
    owner::{node_of, node_of_name},
};

/// What reasons are found in.
pub struct Known<'a> {
    /// What the sources know.
    pub snapshots: &'a [Snapshot],
    /// What should be, after the guard.
    pub next: &'a Desired,
    /// What was live when the loop had last done its work; `None` where it does not know.
    pub ours: Option<&'a Desired>,
    /// Who has what now.
    pub ledger: &'a Ledger,
    /// Who had what before.
    pub before: &'a Ledger,
    /// Who comes and goes.
    pub flapping: &'a [Flapping],
    /// How many requests an endpoint has in flight, where that is known.
    pub in_flight: &'a dyn Fn(&EndpointId) -> Option<u64>,
    /// When it is.
    pub now: Moment,
}

impl Known<'_> {
    /// Says of each change why.
    pub fn explain(&self, changes: &mut [Change]) {
        for change in changes.iter_mut().filter(|change| change.reason.is_none()) {
            change.reason = match change.kind {
                ChangeKind::Endpoint => endpoint_id(&change.id).map(|id| self.endpoint(&id, change.action)),
                ChangeKind::Route => route_id(&change.id).map(|route| self.route(&route, change.action)),
                ChangeKind::Service => change.id.parse().ok().map(|name| self.service(&name, change.action)),
                // Its words say all that there is: the operator's files are other ones.
                ChangeKind::Certificate => None,
            };
        }
    }

    fn endpoint(&self, id: &EndpointId, action: Action) -> Reason {
        let is_ours = |ours: &Desired| ours.endpoint(id) == self.next.endpoint(id);
        let by_member = || {
            let node = node_of_name(&id.endpoint)?;
            Some(member(self.member(&node)?, id.service.as_str(), action, self.now))
        };
        let found = self.held_down(id).or_else(|| self.listed(id)).or_else(by_member);
        let reason = match (found, self.ours.is_some_and(is_ours)) {
            (Some(found), true) => drift(found.node),
            (found, _) => found.unwrap_or_else(unknown),
        };
        let in_flight = Some(id).filter(|_| action == Action::Remove).and_then(self.in_flight);
        let text = in_flight.map(|n| format!("{}, {n} in flight", reason.text));
        Reason { text: text.unwrap_or(reason.text), ..reason }
    }

    /// Where a file says so, or said so.
    fn listed(&self, id: &EndpointId) -> Option<Reason> {
        let source = self.ledger.listed.get(id)?;
        let snapshot = self.snapshots.iter().find(|snapshot| snapshot.source == *source);
        let service = snapshot.and_then(|snapshot| snapshot.services.get(&id.service));
        let said = service.and_then(|service| service.endpoints.get(&id.endpoint)).map(|endpoint| &endpoint.place);
        let text = said.map_or_else(|| format!("no longer in {source}"), |said| said.of(source));
        Some(Reason { code: "listed", node: Some(source.to_string()), ago: None, text })
    }

    fn held_down(&self, id: &EndpointId) -> Option<Reason> {
        let flap = self.flapping.iter().find(|flap| flap.endpoints.contains(id))?;
        let who = flap.service.as_ref().map_or_else(String::new, |service| format!("{service} "));
        let text = format!("{who}came back {}", flap.how_often());
        Some(Reason { code: "flapping", node: Some(flap.node.to_string()), ago: None, text })
    }

    fn route(&self, route: &Route, action: Action) -> Reason {
        let is_ours = |ours: &Desired| ours.routes.get(route) == self.next.routes.get(route);
        let (before, now) = (self.before.claims.get(route), self.ledger.claims.get(route));
        if self.ours.is_some_and(is_ours) {
            return drift(now.and_then(|claim| claim.node.clone()));
        }
        if action == Action::Remove {
            return before.and_then(|claim| self.no_longer_said(claim)).unwrap_or_else(unknown);
        }
        let Some(claim) = now else { return unknown() };
        let said = self.said(route, claim);
        let other = |old: &&str| Some(*old) != claim.node.as_deref();
        let old = before.filter(|old| old.service != claim.service).and_then(|old| old.node.as_deref()).filter(other);
        let text = old.map(|old| format!("{}, no longer {old}", said.text));
        Reason { text: text.unwrap_or(said.text), ..said }
    }

    /// Who says a claim.
    fn said(&self, route: &Route, claim: &Claim) -> Reason {
        let Some(holder) = &claim.node else { return operator(route) };
        let source = self.snapshots.iter().find(|snapshot| *snapshot.source == **holder);
        let listed = source.and_then(|snapshot| snapshot.services.get(&claim.service));
        let member = holder.parse().ok().and_then(|node| self.member(&node));
        Reason {
            code: if listed.is_some() { "listed" } else { "claim" },
            node: Some(holder.clone()),
            ago: member.map(|member| self.now.saturating_sub(member.since)),
            text: listed.map_or_else(|| holder.clone(), |listed| listed.place.of(holder)),
        }
    }

    /// What became of who said a claim.
    fn no_longer_said(&self, claim: &Claim) -> Option<Reason> {
        let holder = claim.node.as_ref()?;
        let Some(of) = holder.parse().ok().and_then(|node| self.member(&node)) else {
            let text = format!("no longer in {holder}");
            return Some(Reason { code: "listed", node: Some(holder.clone()), ago: None, text });
        };
        let reason = member(of, claim.service.as_str(), Action::Remove, self.now);
        Some(Reason { text: format!("{holder} {}", reason.text), ..reason })
    }

    fn service(&self, name: &ServiceName, action: Action) -> Reason {
        if action == Action::Remove {
            let since = self.before.services.get(name).and_then(|standing| standing.empty_since);
            let text = since.map(|since| format!("nobody offers it for {} s", since.age(self.now).as_secs()));
            let empty = |text| Reason { code: "empty", node: None, ago: since.map(|s| s.age(self.now)), text };
            return text.map(empty).or_else(|| self.no_longer_listed(name)).unwrap_or_else(unknown);
        }
        let endpoints = self.next.services.get(name).into_iter().flat_map(|service| service.endpoints.keys());
        let ids = endpoints.map(|endpoint| EndpointId { service: name.clone(), endpoint: endpoint.clone() });
        let says = |id: EndpointId| {
            self.listed(&id).or_else(|| {
                let of = self.member(&node_of(&id)?)?;
                let ago = Some(self.now.saturating_sub(of.since));
                Some(Reason { code: "claim", node: Some(of.name.to_string()), ago, text: of.name.to_string() })
            })
        };
        ids.take(1).find_map(says).or_else(|| self.listed_service(name)).unwrap_or_else(unknown)
    }

    /// Where a service is listed that may have no endpoints.
    fn listed_service(&self, name: &ServiceName) -> Option<Reason> {
        self.snapshots.iter().find_map(|snapshot| {
            let text = snapshot.services.get(name)?.place.of(&snapshot.source);
            Some(Reason { code: "listed", node: Some(snapshot.source.to_string()), ago: None, text })
        })
    }

    /// One that was listed, by whomever, and is not any more.
    fn no_longer_listed(&self, name: &ServiceName) -> Option<Reason> {
        self.before.services.get(name).filter(|standing| standing.listed)?;
        Some(Reason { code: "listed", node: None, ago: None, text: "no longer listed".into() })
    }

    fn member(&self, node: &NodeName) -> Option<&Member> {
        self.snapshots.iter().find_map(|snapshot| snapshot.members.get(node))
    }
}

/// Says of the changes that an assumption makes that nobody left or drains in truth.
pub fn assumed(changes: &mut [Change], assumptions: &[Assumption]) {
    for reason in changes.iter_mut().filter_map(|c| c.reason.as_mut()) {
        for assumption in assumptions {
            let (node, text) = match assumption {
                Assumption::Drain(node) => (node, "were it to drain"),
                Assumption::Gone(node) => (node, "were it gone"),
                Assumption::Template { .. } => continue,
            };
            if reason.node.as_deref() == Some(node.as_str()) {
                *reason = Reason { code: "assumed", ago: None, text: text.into(), ..reason.clone() };
            }
        }
    }
}

/// What is held back and what was refused, as changes that are not done: a plan shows them too.
pub fn not_done(held: &[Held], refused: &[Rejection], live: &Desired, now: Moment) -> Vec<Change> {
    let kept = held.iter().flat_map(|hold| hold.endpoints.iter().map(move |id| (hold, id)));
    let kept = kept.map(|(hold, id)| Change {
        kind: ChangeKind::Endpoint,
        action: Action::Remove,
        id: id.to_string(),
        before: live.endpoint(id).map(words),
        after: None,
        reason: Some(Reason {
            code: "hold",
            node: node_of(id).map(|n| n.to_string()),
            ago: Some(now.saturating_sub(hold.since)),
            text: format!("hold {}", hold.id),
        }),
        status: ChangeStatus::Held,
    });
    kept.chain(refused.iter().map(not_taken)).collect()
}

fn not_taken(refused: &Rejection) -> Change {
    // A record as a whole is none of the kinds, and stands where its endpoints would.
    let (word, rest) = refused.subject.split_once(' ').unwrap_or(("endpoint", &refused.subject));
    let kind = match word {
        "route" => ChangeKind::Route,
        "service" => ChangeKind::Service,
        _ => ChangeKind::Endpoint,
    };
    Change {
        kind,
        action: Action::Add,
        id: rest.to_owned(),
        before: None,
        after: refused.service.as_ref().filter(|_| kind == ChangeKind::Route).map(ToString::to_string),
        reason: Some(texts::not_taken(refused)),
        status: ChangeStatus::Refused,
    }
}

fn endpoint_id(text: &str) -> Option<EndpointId> {
    let (service, endpoint) = text.split_once('/')?;
    Some(EndpointId { service: service.parse().ok()?, endpoint: endpoint.parse().ok()? })
}

fn route_id(text: &str) -> Option<Route> {
    let (host, path) = text.split_at(text.find('/')?);
    Some(Route { host: host.parse().ok()?, path: path.parse().ok()? })
}

#[cfg(test)]
mod tests;
