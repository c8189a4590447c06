//! The desired set out of what is known. Pure and total: one bad record is a rejection, never a failure, and
//! the same input gives the same bytes.

mod draft;
mod serving;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(super) use self::serving::Serving;
use backchat_contract::{Manners, Policies};

use self::{
    draft::{Draft, drafts},
    serving::{By, serving},
};
use super::{
    Desired, EndpointAddr, EndpointId, EndpointName, Ledger, MagicDomain, Member, Moment, Rejection, ServiceName,
    Since, Snapshot, SourceName, ledger::Standing, routes,
};

/// What the operator decides; members have no say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The values of the tag `role` that declare a service of that name.
    pub roles: BTreeSet<String>,
    /// How services are balanced: which endpoints are canaries, and how many must stay.
    pub services: Policies,
    /// Which service answers where no host matches; without it the first that claims it.
    pub default_service: Option<ServiceName>,
    /// Domains below which each service has a name with any address in it.
    pub magic_domains: Vec<MagicDomain>,
    /// Whether endpoints on loopback are taken.
    pub allow_loopback: bool,
    /// How clients are treated: which wildcards there are.
    pub manners: Manners,
    /// How long a service without endpoints keeps its routes, and answers 503.
    pub keep_empty: Duration,
    /// The longest time in which a member, or a service of it, that comes and goes is held down; zero: never.
    pub hold_down: Duration,
    /// Whether a suspect that does not answer drains; not where that takes a reload, for a suspicion may pass.
    pub drain_suspects: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            roles: BTreeSet::from(["web".to_owned()]),
            services: Policies::default(),
            default_service: None,
            magic_domains: Vec::new(),
            allow_loopback: false,
            manners: Manners::Ours,
            keep_empty: Duration::from_secs(600),
            hold_down: Duration::from_secs(300),
            drain_suspects: true,
        }
    }
}

impl Policy {
    /// How many ready endpoints of a service stay whoever falls silent.
    pub fn floors(&self) -> BTreeMap<ServiceName, usize> {
        let floors = self.services.iter().filter(|(_, policy)| policy.min_ready > 0);
        floors.map(|(service, policy)| (service.clone(), policy.min_ready)).collect()
    }
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
    let mut services = drafts(&serving, &mut refused);
    for (name, draft) in &mut services {
        draft.hold_down(name, &mut flaps, now);
        if policy.drain_suspects {
            draft.drain_suspects(policy.services.get(name).min_ready);
        }
    }
    let unlisted_go = snapshots.iter().all(|s| s.synced);
    let mut standings = retained(standings, &services, policy, ledger, (unlisted_go, now));
    homes(&mut standings, policy);
    for (name, standing) in &standings {
        services.entry(name.clone()).or_default().service.protocol = standing.protocol;
    }

    let claims = routes::claims(&serving, &standings, policy, ledger, &mut refused);
    let routes = claims.iter().map(|(route, claim)| (route.clone(), claim.service.clone())).collect();
    let listed = listed(&services, ledger);
    let services = services.into_iter().map(|(name, draft)| (name, draft.service)).collect();
    refused.sort();
    refused.dedup();
    (Desired { services, routes, ..Desired::default() }, Ledger { claims, services: standings, flaps, listed }, refused)
}

/// A canary is reached by the routes of its service, which is there as long as it is.
fn homes(standings: &mut BTreeMap<ServiceName, Standing>, policy: &Policy) {
    let canaries =
        standings.iter().filter_map(|(name, standing)| Some((policy.services.home(name)?, standing.protocol)));
    for (home, protocol) in canaries.collect::<Vec<_>>() {
        standings.entry(home.clone()).or_insert_with(|| Standing { protocol, ..Standing::default() });
    }
}

/// Two members at one address: the newest life has it, the other is what was there before.
fn without_shared_addresses<'a>(all: Vec<Serving<'a>>, refused: &mut Vec<Rejection>) -> Vec<Serving<'a>> {
    let mut owner: BTreeMap<EndpointAddr, &Member> = BTreeMap::new();
    for s in &all {
        let By::Member { member, addr, .. } = s.by else { continue };
        let newest = owner.entry(addr).or_insert(member);
        if (member.epoch, &member.name) > (newest.epoch, &newest.name) {
            *newest = member;
        }
    }
    let mut seen = BTreeSet::new();
    let keep = |s: &Serving<'a>| {
        let By::Member { member, addr, .. } = s.by else { return true };
        let owner = owner.get(&addr).map_or(&member.name, |m| &m.name);
        if *owner != member.name {
            let why = format!("{addr} is {owner}'s address since its epoch is newer");
            refused.push(s.refused("duplicate", why));
            return false;
        }
        // The same offer twice, by one member or by two sources, is one.
        seen.insert((s.service().clone(), addr))
    };
    all.into_iter().filter(keep).collect()
}

/// Who says first that there is a service decides what it speaks: the first source, there the oldest life.
fn one_protocol_each<'a>(
    mut all: Vec<Serving<'a>>,
    ledger: &Ledger,
    refused: &mut Vec<Rejection>,
) -> (Vec<Serving<'a>>, BTreeMap<ServiceName, Standing>) {
    all.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut standings: BTreeMap<ServiceName, Standing> = BTreeMap::new();
    let keep = |s: &Serving<'a>| {
        let known = ledger.services.get(s.service()).filter(|known| known.empty_since.is_none());
        let standing = standings.entry(s.service().clone()).or_insert_with(|| Standing {
            protocol: known.map_or(s.protocol(), |known| known.protocol),
            ..Standing::default()
        });
        if standing.protocol == s.protocol() {
            standing.listed |= s.is_listed();
            return true;
        }
        let why = format!("it speaks {:?}, the service {:?}", s.protocol(), standing.protocol);
        refused.push(s.refused("protocol", why.to_lowercase()));
        false
    };
    all.retain(keep);
    (all, standings)
}

/// The endpoints that are a file's to say, and those that were and are nobody else's now: until they are out.
fn listed(services: &BTreeMap<ServiceName, Draft<'_>>, ledger: &Ledger) -> BTreeMap<EndpointId, SourceName> {
    let is_offered = |id: &EndpointId| services.get(&id.service).is_some_and(|d| d.has(&id.endpoint));
    let before = ledger.listed.iter().filter(|(id, _)| !is_offered(id));
    let before = before.map(|(id, source)| (id.clone(), SourceName::clone(source)));
    let now = services.iter().flat_map(|(service, draft)| {
        let id = |name: &_| EndpointId { service: service.clone(), endpoint: EndpointName::clone(name) };
        draft.listed().map(move |(name, source)| (id(name), SourceName::clone(source)))
    });
    before.chain(now).collect()
}

/// The services that stay: those with endpoints, those that a file lists, and those that lost their endpoints less than
/// `keep_empty` ago. One that a file lists no more goes at once, unless another file is still to say what it lists.
fn retained(
    mut standings: BTreeMap<ServiceName, Standing>,
    services: &BTreeMap<ServiceName, Draft<'_>>,
    policy: &Policy,
    ledger: &Ledger,
    (unlisted_go, now): (bool, Moment),
) -> BTreeMap<ServiceName, Standing> {
    for (name, known) in &ledger.services {
        if services.contains_key(name) {
            continue;
        }
        let since = known.empty_since.unwrap_or_else(|| Since::now(now));
        if since.age(now) < policy.keep_empty && !(known.listed && unlisted_go) {
            standings.insert(name.clone(), Standing { empty_since: Some(since), ..known.clone() });
        } else {
            standings.remove(name);
        }
    }
    standings
}

#[cfg(test)]
mod tests;
