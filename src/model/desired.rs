//! The desired set out of what is known. Pure and total: one bad record is a rejection, never a failure, and
//! the same input gives the same bytes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use super::{
    Desired, Endpoint, EndpointAddr, EndpointId, EndpointName, EndpointState, Kind, Ledger, Liveness, Member, Moment,
    NodeName, Rejection, Service, ServiceName, Since, Snapshot, State, Verdict,
    flaps::Flaps,
    ledger::Standing,
    offers::{Offer, offers},
    owner::node_of_name,
    routes,
};

/// What the operator decides; members have no say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The values of the tag `role` that declare a service of that name.
    pub roles: BTreeSet<String>,
    /// Which service answers where no host matches; without it the first that claims it.
    pub default_service: Option<ServiceName>,
    /// Whether endpoints on loopback are taken.
    pub allow_loopback: bool,
    /// How long a service without endpoints keeps its routes, and answers 503.
    pub keep_empty: Duration,
    /// The longest time in which a member, or a service of it, that comes and goes is held down; zero: never.
    pub hold_down: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            roles: BTreeSet::from(["web".to_owned()]),
            default_service: None,
            allow_loopback: false,
            keep_empty: Duration::from_secs(600),
            hold_down: Duration::from_secs(300),
        }
    }
}

/// An offer of a member that lives, at an address that may be used.
pub(super) struct Serving<'a> {
    pub(super) member: &'a Member,
    pub(super) offer: Offer,
    addr: EndpointAddr,
    state: EndpointState,
}

/// What should be, what to remember for the next call, and what was refused, all sorted.
pub fn desired(
    snapshots: &[Snapshot],
    policy: &Policy,
    ledger: &Ledger,
    now: Moment,
) -> (Desired, Ledger, Vec<Rejection>) {
    let mut refused = Vec::new();
    let serving = serving(snapshots, policy, &mut refused);
    let serving = without_shared_addresses(serving, &mut refused);
    let (serving, standings) = one_protocol_each(serving, ledger, &mut refused);

    let mut flaps = ledger.flaps.seen(snapshots, policy.hold_down, now);
    let mut services = endpoints(&serving);
    for (name, draft) in &mut services {
        hold_down(name, draft, &mut flaps, now);
    }
    services.values_mut().for_each(limit_suspects);
    let standings = retained(standings, &services, policy, ledger, now);
    for (name, standing) in &standings {
        services.entry(name.clone()).or_default().service.protocol = standing.protocol;
    }

    let claims = routes::claims(&serving, &standings, policy, ledger, &mut refused);
    let routes = claims.iter().map(|(route, claim)| (route.clone(), claim.service.clone())).collect();
    let services = services.into_iter().map(|(name, draft)| (name, draft.service)).collect();
    refused.sort();
    refused.dedup();
    (Desired { services, routes }, Ledger { claims, services: standings, flaps }, refused)
}

/// Every offer of every member that lives and is no balancer.
fn serving<'a>(snapshots: &'a [Snapshot], policy: &Policy, refused: &mut Vec<Rejection>) -> Vec<Serving<'a>> {
    let mut all = Vec::new();
    for member in snapshots.iter().flat_map(|s| s.members.values()) {
        if is_gone(member) {
            continue;
        }
        refused.extend(member.refused.iter().map(|why| unread(member, why)));
        let Some(record) = member.record.as_ref().filter(|record| record.kind != Kind::Balancer) else { continue };
        let (offers, bad) = offers(record, &policy.roles);
        refused.extend(bad);
        for offer in offers.into_iter().filter(|o| o.healthy) {
            match address(member, &offer, policy) {
                Ok(addr) => {
                    let draining = record.is_draining(offer.service.as_str());
                    let state = if draining { EndpointState::Drain } else { EndpointState::Ready };
                    all.push(Serving { member, offer, addr, state });
                }
                Err(why) => refused.push(rejection(member, &offer, "address", why)),
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
    Rejection { node: member.name.to_string(), subject: "record".into(), why: why.to_owned(), code: "record" }
}

fn rejection(member: &Member, offer: &Offer, code: &'static str, why: String) -> Rejection {
    Rejection { node: member.name.to_string(), subject: format!("service {}", offer.service), why, code }
}

/// A backend's address is where its node gossips from: nobody can point the balancer at another host.
fn address(member: &Member, offer: &Offer, policy: &Policy) -> Result<EndpointAddr, String> {
    let addr = EndpointAddr::try_from(SocketAddr::new(member.addr.ip(), offer.port)).map_err(|e| e.to_string())?;
    if addr.get().ip().is_loopback() && !policy.allow_loopback {
        return Err(format!("{addr} is on loopback: --allow-loopback takes it"));
    }
    Ok(addr)
}

/// Two members at one address: the newest life has it, the other is what was there before.
fn without_shared_addresses<'a>(all: Vec<Serving<'a>>, refused: &mut Vec<Rejection>) -> Vec<Serving<'a>> {
    let mut owner: BTreeMap<EndpointAddr, &Member> = BTreeMap::new();
    for s in &all {
        let newest = owner.entry(s.addr).or_insert(s.member);
        if (s.member.epoch, &s.member.name) > (newest.epoch, &newest.name) {
            *newest = s.member;
        }
    }
    let mut seen = BTreeSet::new();
    let keep = |s: &Serving<'a>| {
        let owner = owner.get(&s.addr).map_or(&s.member.name, |m| &m.name);
        if *owner != s.member.name {
            let why = format!("{} is {owner}'s address since its epoch is newer", s.addr);
            refused.push(rejection(s.member, &s.offer, "duplicate", why));
            return false;
        }
        // The same offer twice, by one member or by two sources, is one.
        seen.insert((s.offer.service.clone(), s.addr))
    };
    all.into_iter().filter(keep).collect()
}

/// The first member that offers a service decides what it speaks; the oldest life where all come at once.
fn one_protocol_each<'a>(
    mut all: Vec<Serving<'a>>,
    ledger: &Ledger,
    refused: &mut Vec<Rejection>,
) -> (Vec<Serving<'a>>, BTreeMap<ServiceName, Standing>) {
    all.sort_by(|a, b| (a.member.epoch, &a.member.name).cmp(&(b.member.epoch, &b.member.name)));
    let mut standings: BTreeMap<ServiceName, Standing> = BTreeMap::new();
    let keep = |s: &Serving<'a>| {
        let known = ledger.services.get(&s.offer.service).filter(|known| known.empty_since.is_none());
        let standing = standings.entry(s.offer.service.clone()).or_insert_with(|| Standing {
            protocol: known.map_or(s.offer.protocol, |known| known.protocol),
            empty_since: None,
        });
        if standing.protocol == s.offer.protocol {
            return true;
        }
        let why = format!("it speaks {:?}, the service {:?}", s.offer.protocol, standing.protocol);
        refused.push(rejection(s.member, &s.offer, "protocol", why.to_lowercase()));
        false
    };
    all.retain(keep);
    (all, standings)
}

/// A service on its way, with what decides which suspects drain.
#[derive(Default)]
struct Draft {
    service: Service,
    suspects: Vec<(Moment, EndpointName)>,
}

fn endpoints(serving: &[Serving<'_>]) -> BTreeMap<ServiceName, Draft> {
    let mut offered: BTreeMap<(&ServiceName, &NodeName), usize> = BTreeMap::new();
    for s in serving {
        *offered.entry((&s.offer.service, &s.member.name)).or_default() += 1;
    }
    let mut drafts: BTreeMap<ServiceName, Draft> = BTreeMap::new();
    for s in serving {
        let several = offered.get(&(&s.offer.service, &s.member.name)).is_some_and(|n| *n > 1);
        let name = endpoint_name(&s.member.name, several.then_some(s.offer.port));
        let draft = drafts.entry(s.offer.service.clone()).or_default();
        let unheard = matches!(s.member.verdict, Verdict::Refused | Verdict::Silent);
        if s.member.liveness == Liveness::Suspect && unheard && s.state == EndpointState::Ready {
            draft.suspects.push((s.member.since, name.clone()));
        }
        let endpoint = Endpoint { addr: s.addr, weight: s.offer.weight, state: s.state };
        draft.service.endpoints.insert(name, endpoint);
    }
    drafts
}

fn endpoint_name(node: &NodeName, port: Option<u16>) -> EndpointName {
    let Some(port) = port else { return EndpointName::from(node) };
    let name = format!("{node}:{port}");
    name.parse().expect("a node name, a colon and a port are an endpoint name")
}

/// Those that come and go stay out, the longest held down first: at most a third of those that are ready (at least
/// one), and only while another is ready that is no suspect. One that is needed is let in until it comes back again:
/// an endpoint that flaps is better than none, and one that serves is not taken out for the sake of a share.
fn hold_down(service: &ServiceName, draft: &mut Draft, flaps: &mut Flaps, now: Moment) {
    let ready = draft.service.endpoints.iter().filter(|(_, e)| e.state == EndpointState::Ready);
    let ready: Vec<EndpointName> = ready.map(|(name, _)| name.clone()).collect();
    let held = |name: &EndpointName| {
        let id = EndpointId { service: service.clone(), endpoint: name.clone() };
        let node = node_of_name(name)?;
        flaps.holds(&node, &id, now).map(|left| (Reverse(left), node, id))
    };
    let mut candidates: Vec<_> = ready.iter().filter_map(held).collect();
    let is_sound = |name: &EndpointName| {
        !draft.suspects.iter().any(|(_, suspect)| suspect == name) && !candidates.iter().any(|c| c.2.endpoint == *name)
    };
    let limit = if ready.iter().any(is_sound) { (ready.len() / 3).max(1) } else { 0 };
    candidates.sort();
    for (nth, (_, node, id)) in candidates.into_iter().enumerate() {
        if nth < limit {
            draft.service.endpoints.remove(&id.endpoint);
            draft.suspects.retain(|(_, suspect)| *suspect != id.endpoint);
        }
        flaps.note(&node, &id, nth < limit, now);
    }
}

/// Suspects that do not answer drain, the longest suspected first: at most a third of those that are ready
/// (at least one), and never the last. A suspicion is cheap to be wrong about only while others serve.
fn limit_suspects(draft: &mut Draft) {
    let ready = draft.service.endpoints.values().filter(|e| e.state == EndpointState::Ready).count();
    let limit = (ready / 3).max(1).min(ready.saturating_sub(1));
    draft.suspects.sort();
    for (_, name) in draft.suspects.iter().take(limit) {
        if let Some(endpoint) = draft.service.endpoints.get_mut(name) {
            endpoint.state = EndpointState::Drain;
        }
    }
}

/// The services that stay: those with endpoints, and those that lost theirs less than `keep_empty` ago.
fn retained(
    mut standings: BTreeMap<ServiceName, Standing>,
    services: &BTreeMap<ServiceName, Draft>,
    policy: &Policy,
    ledger: &Ledger,
    now: Moment,
) -> BTreeMap<ServiceName, Standing> {
    for (name, known) in &ledger.services {
        if services.contains_key(name) {
            continue;
        }
        let since = known.empty_since.unwrap_or_else(|| Since::now(now));
        if since.age(now) < policy.keep_empty {
            standings.insert(name.clone(), Standing { protocol: known.protocol, empty_since: Some(since) });
        } else {
            standings.remove(name);
        }
    }
    standings
}

#[cfg(test)]
mod tests;
