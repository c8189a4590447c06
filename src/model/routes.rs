//! Who has which host and path. The incumbent keeps a route; a newcomer is a rejection.

use std::collections::BTreeMap;

use backchat_contract::{HIPACHE_LABELS_MAX, magic};

use super::{
    HostPattern, Ledger, PathPrefix, Protocol, Rejection, Route, ServiceName,
    desired::{Policy, Serving},
    ledger::{Claim, Standing},
};

/// Every route with the service that has it. `serving` comes in the order of the sources, oldest life first: of two that
/// come at once, the first has it.
pub(super) fn claims(
    serving: &[Serving<'_>],
    standings: &BTreeMap<ServiceName, Standing>,
    policy: &Policy,
    ledger: &Ledger,
    refused: &mut Vec<Rejection>,
) -> BTreeMap<Route, Claim> {
    let mut claims = standing_claims(serving, standings, policy, ledger);
    if let Some(service) = policy.default_service.as_ref().filter(|s| standings.contains_key(*s)) {
        claims.insert(default_route(), Claim { service: service.clone(), node: None });
    }
    let named = named(standings, policy);
    claims.retain(|route, claim| owner(&named, route).is_none_or(|owner| *owner == claim.service));
    claims.extend(named.clone());
    for s in serving.iter().filter(|s| s.protocol() == Protocol::Http) {
        for route in asked(s) {
            if policy.manners.is_hipache() && is_beyond_hipache(&route) {
                let why = format!("Hipache looks up wildcards of {HIPACHE_LABELS_MAX} labels at most");
                refused.push(s.rejection(format!("route {route}"), "host", why));
                continue;
            }
            if is_named(&route) {
                refused.push(conflict(s, &route, "only the operator's --magic-domain gives such names".to_owned()));
                continue;
            }
            if let Some(owner) = owner(&named, &route).filter(|owner| *owner != s.claimant()) {
                refused.push(conflict(s, &route, format!("the operator's --magic-domain gives it to {owner}")));
                continue;
            }
            let reserved = route == default_route() && policy.default_service.is_some();
            if reserved && policy.default_service.as_ref() != Some(s.claimant()) {
                let why = "the operator's --default-service has it".to_owned();
                refused.push(conflict(s, &route, why));
                continue;
            }
            let claim = claims
                .entry(route.clone())
                .or_insert_with(|| Claim { service: s.claimant().clone(), node: Some(s.holder().to_owned()) });
            if claim.service != *s.claimant() {
                refused.push(conflict(s, &route, format!("{} holds it", claim.holder())));
            }
        }
    }
    claims
}

/// The claims of before that hold on: those still asked for by somebody of their service, and those of a
/// service that is empty for a while.
fn standing_claims(
    serving: &[Serving<'_>],
    standings: &BTreeMap<ServiceName, Standing>,
    policy: &Policy,
    ledger: &Ledger,
) -> BTreeMap<Route, Claim> {
    let mut askers: BTreeMap<(Route, &ServiceName), Vec<String>> = BTreeMap::new();
    for s in serving {
        for route in asked(s) {
            askers.entry((route, s.claimant())).or_default().push(s.holder().to_owned());
        }
    }
    let hold_on = |(route, claim): (&Route, &Claim)| {
        if is_named(route) || policy.manners.is_hipache() && is_beyond_hipache(route) {
            // Nobody asked for it: it is the operator's, and given anew. Or no request can take it.
            return None;
        }
        let standing = standings.get(&claim.service)?;
        if standing.empty_since.is_some() {
            return Some((route.clone(), claim.clone()));
        }
        let nodes = askers.get(&(route.clone(), &claim.service))?;
        // The claim passes on within the service when the member that made it is gone.
        let node = claim.node.as_ref().filter(|n| nodes.contains(n)).or(nodes.first()).cloned();
        Some((route.clone(), Claim { service: claim.service.clone(), node }))
    };
    ledger.claims.iter().filter_map(hold_on).collect()
}

/// The names that the operator's domains give each service. Of two that differ in the case of letters alone, the one that
/// is in lower case has it, else the first.
fn named(standings: &BTreeMap<ServiceName, Standing>, policy: &Policy) -> BTreeMap<Route, Claim> {
    let mut named = BTreeMap::new();
    let http = || standings.iter().filter(|(_, standing)| standing.protocol == Protocol::Http).map(|(name, _)| name);
    let is_lower = |name: &ServiceName| !name.as_str().bytes().any(|b| b.is_ascii_uppercase());
    for service in http().filter(|name| is_lower(name)).chain(http().filter(|name| !is_lower(name))) {
        for host in policy.magic_domains.iter().filter_map(|domain| domain.host(service.as_str())) {
            let claim = || Claim { service: service.clone(), node: None };
            named.entry(Route { host, path: root() }).or_insert_with(claim);
        }
    }
    named
}

/// Whose name with an address in it a host is, spelled out: an exact host would come before the pattern.
fn owner<'a>(named: &'a BTreeMap<Route, Claim>, route: &Route) -> Option<&'a ServiceName> {
    let HostPattern::Exact(host) = &route.host else { return None };
    let host = magic(host)?;
    named.get(&Route { host, path: root() }).map(|claim| &claim.service)
}

/// A wildcard that no request can take.
fn is_beyond_hipache(route: &Route) -> bool {
    matches!(&route.host, HostPattern::Wildcard(domain) if domain.split('.').count() > HIPACHE_LABELS_MAX)
}

fn is_named(route: &Route) -> bool {
    matches!(route.host, HostPattern::Magic { .. })
}

/// The routes an offer asks for: its hosts, or the default.
fn asked<'a>(s: &'a Serving<'_>) -> impl Iterator<Item = Route> + 'a {
    let default = s.hosts().is_empty().then_some(HostPattern::Any);
    let hosts = s.hosts().iter().cloned().chain(default);
    hosts.map(|host| Route { host, path: s.path().clone() })
}

fn default_route() -> Route {
    Route { host: HostPattern::Any, path: root() }
}

fn root() -> PathPrefix {
    "/".parse().expect("the root is a path")
}

fn conflict(s: &Serving<'_>, route: &Route, why: String) -> Rejection {
    s.rejection(format!("route {route}"), "conflict", why)
}
