//! A node, and what became of each service that it offers.

use super::{Fact, flaps, hold, line, pool, refused};
use crate::{
    admin::answers::{Check, ExplainedMember, ExplainedOffer, Member, Offer},
    cli::output::{age, table::Table},
    model::{Kind, State},
};

pub(super) fn facts(told: &ExplainedMember) -> Vec<Fact> {
    let m = &told.member;
    let why = m.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let lives = format!("{} for {}{why}", m.liveness, age::since(m.since_ms));
    let mut facts = vec![line("node", record(m)), line("lives", lives)];
    facts.extend(told.unread.as_ref().map(|why| line("refused", format!("its newest record: {why}"))));
    if !m.tags.is_empty() {
        let tags: Vec<_> = m.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        facts.push(line("tags", tags.join(" ")));
    }
    if !told.offers.is_empty() {
        facts.push(("offer", offers(&told.offers)));
    }
    if !told.endpoints.is_empty() {
        facts.push(("serves", pool::rows(&told.endpoints, true)));
    }
    facts.extend(told.checks.iter().filter(|check| !check.up || check.why.is_some()).map(check));
    facts.extend(told.holds.iter().map(hold));
    facts.extend(told.flapping.iter().map(flaps));
    facts.extend(told.rejections.iter().map(refused));
    facts
}

/// What the node's own look at a service found.
fn check(c: &Check) -> Fact {
    let found = if c.up { "passes still" } else { "fails" };
    line("check", format!("{}:{} {found}: {}", c.service, c.port, c.why.as_deref().unwrap_or("nothing was said")))
}

/// `web2: agent, serving, epoch 7, record 2, gossips at 10.0.0.8:7946`.
fn record(m: &Member) -> String {
    let kind = m.kind.map_or("kind not known yet", |kind| match kind {
        Kind::Agent => "agent",
        Kind::Balancer => "balancer",
    });
    let state = m.state.map_or("its record has not come yet", |state| match state {
        State::Serving => "serving",
        State::Draining => "draining",
        State::Left => "left",
    });
    format!(
        "{}: {kind}, {state}, epoch {}, record {}, gossips at {}",
        m.name,
        m.epoch,
        m.version,
        std::net::SocketAddr::new(m.ip, m.port)
    )
}

/// What it says, and what that came to.
fn offers(offers: &[ExplainedOffer]) -> Vec<String> {
    let mut table = Table::new(&["", "", ""], true);
    for ExplainedOffer { offer, endpoint } in offers {
        let became = match endpoint {
            Some(endpoint) => format!("→ {}", pool::row(endpoint, true).join("  ")),
            None if offer.healthy => String::new(),
            None => "fails its own check".to_owned(),
        };
        table.row([format!("{}:{}", offer.name, offer.port), wants(offer), became]);
    }
    table.text().lines().map(str::to_owned).collect()
}

/// Which requests it wants.
fn wants(offer: &Offer) -> String {
    let path = offer.path.as_deref().filter(|path| *path != "/").unwrap_or_default();
    let hosts = if offer.hosts.is_empty() { vec!["*".to_owned()] } else { offer.hosts.clone() };
    hosts.into_iter().map(|host| host + path).collect::<Vec<_>>().join(",")
}
