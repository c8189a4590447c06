//! A request: the route that won and over what, who could answer, and the answer.

use super::{Fact, line, pool, route};
use crate::admin::answers::{Answers, ExplainedRequest};

/// So many routes that were beaten or passed by are shown.
const SHOWN: usize = 8;

pub(super) fn facts(told: &ExplainedRequest) -> Vec<Fact> {
    let mut facts = vec![line("route", way(told))];
    let should = |service: &String| match service.as_str() {
        "-" => "it should go nowhere: the route is on its way out".to_owned(),
        service => format!("it should go to {service}"),
    };
    facts.extend(told.drift.as_ref().map(|service| line("drift", should(service))));
    if told.route.is_some() {
        let nobody = || "empty".to_owned();
        facts.push(line("pool", if told.pool.is_empty() { nobody() } else { pool::words(&told.pool) }));
    }
    facts.extend(told.rules.iter().map(|rule| line("rule", rule.clone())));
    for canary in &told.canaries {
        let names: Vec<_> = canary.by.iter().map(|share| share.name.clone()).collect();
        let who = if names.is_empty() { "nobody: the service itself answers".to_owned() } else { some(&names) };
        facts.push(line("canary", format!("{}: {} → {who}", canary.service, canary.picks)));
    }
    facts.push(line("answer", answer(&told.answer)));
    facts
}

fn way(told: &ExplainedRequest) -> String {
    let passes = (!told.passes.is_empty()).then(|| format!("not within {}", some(&told.passes)));
    let Some(won) = &told.route else {
        let near = (!told.near.is_empty()).then(|| format!("near: {}", some(&told.near)));
        let none = format!("none for {}{}", told.host, told.path);
        return std::iter::once(none).chain(passes).chain(near).collect::<Vec<_>>().join("; ");
    };
    let beats = (!told.beats.is_empty()).then(|| format!("beats {}", some(&told.beats)));
    let (first, more) = (route(won), passes.into_iter().chain(beats).collect::<Vec<_>>().join("; "));
    let gap = match (more.is_empty(), first.contains("   ")) {
        (true, _) => "",
        (false, true) => "; ",
        (false, false) => "   ",
    };
    format!("{first}{gap}{more}")
}

fn some(all: &[String]) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ") + &rest
}

/// `web1 or web4, 50:100`; `404 no route for this host and path`.
fn answer(a: &Answers) -> String {
    let why = a.why.as_deref().unwrap_or_default();
    if let Some(status) = a.status {
        return format!("{status} {why}").trim_end().to_owned();
    }
    let more = a.by.len().saturating_sub(SHOWN);
    let rest = if more == 0 { String::new() } else { format!(" or {more} more") };
    let names = a.by.iter().take(SHOWN).map(|share| share.name.clone()).collect::<Vec<_>>().join(" or ") + &rest;
    let weights = a.by.iter().take(SHOWN).map(|share| share.weight.to_string()).collect::<Vec<_>>().join(":");
    let shares = if a.by.len() > 1 && more == 0 { weights } else { String::new() };
    [names, shares, why.to_owned()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
