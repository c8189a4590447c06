//! A service's policy here: what the Lua does is a table for it, what nginx does is a location of the service's own. Pure.

use backchat_contract::{
    Policies, ServiceName, ServicePolicy,
    policy::{Balance, Canary, Pick},
};
use backchat_nginx::{
    names::upstream,
    policy::{self as nginx, Asked, Words, words},
};
use serde::Serialize;

/// What this data plane has no words for, and what is said instead.
pub fn lacks(policy: &ServicePolicy) -> Option<&'static str> {
    let maxconn = "maxconn: each of its workers counts for itself; --driver haproxy or nginx has it";
    nginx::lacks(policy, false).or(policy.maxconn.map(|_| maxconn))
}

/// The policies as the template gets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct View {
    /// Entries of a Lua table, by service.
    pub lua: Vec<String>,
    /// Lines of the http block.
    pub http: Vec<String>,
    /// Whether some service is spoken to in HTTP/2: by an upstream of its own.
    pub http2: bool,
    /// Locations for what only nginx does.
    pub locations: Vec<Location>,
}

/// A location of a service's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Its name, behind the `@`.
    pub name: String,
    /// Whose it is.
    pub service: ServiceName,
    /// Its lines, the one that passes requests on last.
    pub lines: Vec<String>,
}

/// All policies. Requests go on to this upstream.
pub fn view(policies: &Policies, to: &str, asked: Asked) -> View {
    let mut view = View { http2: policies.iter().any(|(_, policy)| policy.http2), ..View::default() };
    for (number, (service, policy)) in policies.iter().enumerate() {
        let is_located = nginx::of_location(policy).is_some();
        view.lua.push(entry(number, service, policy, is_located));
        if is_located {
            // nginx keeps connections by address alone: those that speak HTTP/2 go by an upstream of their own.
            let to = if policy.http2 { format!("{to}-http2") } else { to.to_owned() };
            let Words { http, location: lines, .. } = words(policies, service, &to, asked);
            view.http.extend(http);
            view.locations.push(Location { name: location(service), service: service.clone(), lines });
        }
    }
    view
}

fn location(service: &ServiceName) -> String {
    format!("bc-{}", upstream(service))
}

/// Within double quotes: what an operator wrote holds none, and no backslash.
fn entry(number: usize, service: &ServiceName, policy: &ServicePolicy, is_located: bool) -> String {
    let mut fields = Vec::new();
    if let Some(balance) = by(number, policy) {
        fields.push(balance);
    }
    fields.extend(policy.retries.map(|retries| format!("retries = {retries}")));
    if is_located {
        fields.push(format!("location = \"@{}\"", location(service)));
    }
    if !policy.canaries.is_empty() {
        let canaries: Vec<_> = policy.canaries.iter().map(canary).collect();
        fields.push(format!("canaries = {{ {} }}", canaries.join(", ")));
    }
    format!("[\"{service}\"] = {{ {} }},", fields.join(", "))
}

fn by(number: usize, policy: &ServicePolicy) -> Option<String> {
    let hash = |variable: &str| format!("by = \"hash\", variable = \"{variable}\"");
    match policy.balance {
        _ if policy.sticky.is_some() => Some(hash(&format!("bc_client_{number}"))),
        Balance::RoundRobin => None,
        Balance::LeastConn => Some("by = \"least\"".into()),
        Balance::Random => Some("by = \"random\"".into()),
        Balance::Source => Some(hash("binary_remote_addr")),
        Balance::Uri => Some(hash("request_uri")),
    }
}

fn canary(Canary { service, pick, .. }: &Canary) -> String {
    let picked = match pick {
        Pick::Share(share) => format!("share = {}", share.of_10000()),
        Pick::Header(name, value) => variable("http", &name.as_str().replace('-', "_"), value.as_str()),
        Pick::Cookie(name, value) => variable("cookie", name.as_str(), value.as_str()),
    };
    format!("{{ service = \"{service}\", {picked} }}")
}

fn variable(kind: &str, name: &str, value: &str) -> String {
    format!("variable = \"{kind}_{name}\", value = \"{value}\"")
}
