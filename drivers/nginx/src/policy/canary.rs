//! Which requests of a service go to its canaries: maps from the service to the pool of servers that is asked, and from
//! there to its location.

use backchat_contract::{
    Policies, ServiceName,
    policy::{Canary, Pick},
};
use serde::Serialize;

use super::{location::named, name};
use crate::routes::key;

/// The maps, and the variable that says the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Lines of the http block.
    pub http: Vec<String>,
    /// `$bc_service` where no service has canaries that serve.
    pub variable: &'static str,
    /// Says the location of a pool whose requests nothing may rewrite; none where there is none of these.
    pub raw: Option<&'static str>,
}

/// The pools of these services, of which `serves` says whether somebody takes requests. Where one of a service and its
/// canary has nobody, the other answers.
pub fn pool(policies: &Policies, serves: impl Fn(&ServiceName) -> bool) -> Pool {
    let mut http = Vec::new();
    let mut decided = Vec::new();
    for (number, (service, policy)) in policies.iter().enumerate() {
        let mut drawn = 0;
        // Each share begins where the one before ended.
        let from = policy.canaries.iter().map(|canary| {
            let from = drawn;
            drawn += canary.share().unwrap_or(0);
            (canary, from)
        });
        let alive: Vec<(&Canary, u16)> = from.filter(|(canary, _)| serves(&canary.service)).collect();
        let Some((first, _)) = alive.first() else { continue };
        let mut to = name(if serves(service) { service } else { &first.service });
        for (nth, (canary, from)) in alive.iter().enumerate().rev() {
            let variable = format!("$bc_pick_{number}_{nth}");
            http.extend(picked(canary, *from, &variable, &to));
            to = variable;
        }
        decided.push(format!("    {} {to};", key(&name(service))));
    }
    let variable = if decided.is_empty() { "$bc_service" } else { "$bc_pool" };
    if !decided.is_empty() {
        http.push("map $bc_service $bc_pool {".into());
        http.extend(decided);
        http.extend(["    default $bc_service;".into(), "}".into()]);
    }
    let raw = raw(policies, variable);
    let has_raw = !raw.is_empty();
    http.extend(raw);
    Pool { http, variable, raw: has_raw.then_some(RAW) }
}

const RAW: &str = "$bc_raw";

/// `grpc_pass` hands the path on as it came only where no `rewrite` was: a location without a path is found without one.
fn raw(policies: &Policies, variable: &str) -> Vec<String> {
    let services = policies.iter().filter(|(_, policy)| policy.http2).map(|(service, _)| name(service));
    let mut lines: Vec<String> = services.map(|name| format!("    {} {};", key(&name), named(&name))).collect();
    if !lines.is_empty() {
        lines.insert(0, format!("map {variable} {RAW} {{"));
        lines.extend(["    default '';".into(), "}".into()]);
    }
    lines
}

/// A text within a regular expression, whatever it holds: a map's own keys know neither case nor some words.
fn literally(text: &str) -> String {
    let byte = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("\\x{b:02x}") };
    text.bytes().map(byte).collect()
}

/// The same text is drawn by for each of them, so one request is drawn once.
fn picked(canary: &Canary, from: u16, variable: &str, otherwise: &str) -> Vec<String> {
    let to = name(&canary.service);
    let by_value = |source: String, value: &str| {
        let value = literally(value);
        vec![format!("map {source} {variable} {{ \"~^{value}$\" {to}; default {otherwise}; }}")]
    };
    match &canary.pick {
        Pick::Share(share) => {
            let drawn = format!("{variable}_drawn");
            // nginx takes no share of nothing.
            let before = if from == 0 { String::new() } else { format!("{}.{:02}% 0; ", from / 100, from % 100) };
            let own = if share.of_10000() == 0 { String::new() } else { format!("{share} 1; ") };
            let split = format!("split_clients $request_id {drawn} {{ {before}{own}* 0; }}");
            vec![split, format!("map {drawn} {variable} {{ 1 {to}; default {otherwise}; }}")]
        }
        Pick::Header(header, value) => by_value(format!("$http_{}", header.as_str().replace('-', "_")), value.as_str()),
        Pick::Cookie(cookie, value) => by_value(format!("$cookie_{}", cookie.as_str()), value.as_str()),
    }
}
