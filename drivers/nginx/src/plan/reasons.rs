//! Why a reload cannot be avoided, and what may go without structure. Pure.

use std::collections::BTreeMap;

use backchat_contract::{Desired, ServiceName};

use crate::{
    layout::{Layout, Service},
    observe::Observed,
};

/// Names that a reason shows.
const SHOWN: usize = 5;

/// Why only a reload can bring this; `None` where it runs.
pub(super) fn why(observed: &Observed, next: &Layout, structure: &str) -> Option<String> {
    let Some(running) = observed.structure() else { return Some("nginx does not run a configuration of ours".into()) };
    if observed.look.distrusted {
        return Some("somebody else has reloaded nginx, and changed its file meanwhile".into());
    }
    if running == structure {
        return None;
    }
    let whys = differences(&observed.live, next);
    Some(if whys.is_empty() { "template or settings changed".into() } else { whys.join(", ") })
}

fn differences(live: &Layout, next: &Layout) -> Vec<String> {
    let (live_services, next_services) = (&live.services, &next.services);
    let not_in = |of: &BTreeMap<ServiceName, Service>, other: &BTreeMap<ServiceName, Service>| {
        of.keys().filter(|name| !other.contains_key(*name)).cloned().collect::<Vec<_>>()
    };
    let serving = |service: &Service| {
        let serve = service.servers.values().filter(|server| server.serves());
        let mut all: Vec<_> = serve.map(|server| (server.addr, server.weight)).collect();
        all.sort();
        all
    };
    let changed = next_services.iter().filter(|(name, service)| {
        live_services.get(*name).is_some_and(|now| now.protocol == service.protocol && serving(now) != serving(service))
    });
    let respoken = next_services
        .iter()
        .filter(|(name, service)| live_services.get(*name).is_some_and(|now| now.protocol != service.protocol));
    let names = |services: Vec<ServiceName>, before: &str, after: &str| {
        (!services.is_empty()).then(|| format!("{before}{}{after}", list(&services)))
    };
    let routes = (live.routes != next.routes).then(|| "routes changed".to_owned());
    [
        names(changed.map(|(name, _)| name.clone()).collect(), "endpoints of ", " changed"),
        names(not_in(next_services, live_services), "new: ", ""),
        names(not_in(live_services, next_services), "gone: ", ""),
        names(respoken.map(|(name, _)| name.clone()).collect(), "another protocol for ", ""),
        routes,
        (live.certificates != next.certificates).then(|| "certificates changed".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first few names; the rest as a number.
fn list(services: &[ServiceName]) -> String {
    let shown = services.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The services and routes that are live, with the endpoints that they should have: what goes has none.
pub(super) fn endpoints_alone(desired: &Desired, live: &Layout) -> Desired {
    let mut part = live.desired();
    for (name, service) in &mut part.services {
        let wanted = desired.services.get(name).filter(|wanted| wanted.protocol == service.protocol);
        service.endpoints = wanted.map(|wanted| wanted.endpoints.clone()).unwrap_or_default();
    }
    part
}
