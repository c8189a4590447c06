//! A service's policy as nginx says it: lines of its upstream, of its location, and of the http block. Pure.
//!
//! What an operator wrote stands in double quotes, where nginx reads nothing into it: `$`, `\` and `"` are in no value.

mod canary;
pub(crate) mod debug;
mod location;
mod paths;

use std::time::Duration;

use backchat_contract::{
    Manners, Policies, ServiceName, ServicePolicy,
    policy::{Balance, CookieName, Rate},
};
use serde::Serialize;

pub use canary::{Pool, pool};
use location::location;
pub(crate) use location::place;

use crate::names::upstream;

/// What nginx has no words for, and what is said instead.
pub fn lacks(policy: &ServicePolicy, is_tcp: bool) -> Option<&'static str> {
    let own = |name: &str| matches!(name, "server" | "date" | "connection");
    let own_header = policy.response_headers.iter().any(|header| own(header.name.as_str()));
    let sticky_by = policy.sticky.is_some() && policy.balance != Balance::RoundRobin;
    [
        (policy.check.is_some(), "check: nginx asks no server itself; --check at the agent does"),
        (policy.slow_start.is_some(), "slow-start: nginx has none but in its commercial edition"),
        (policy.timeouts.queue.is_some(), "timeouts.queue: nginx lets no request wait for a server"),
        (policy.timeouts.idle.is_some() && !is_tcp, "timeouts.idle: nginx waits by timeouts.response, upgraded or not"),
        (own_header, "response-headers: Server, Date and Connection are nginx's own to say"),
        (sticky_by, "sticky: nginx does it by a hash, beside which there is no balance"),
        (policy.http2 && policy.strip_prefix.is_some(), "strip-prefix: nginx's grpc_pass takes the path as it came"),
    ]
    .into_iter()
    .find_map(|(said, what)| said.then_some(what))
}

/// What only a location of ours can do: where others pass requests on, it would be left out without a word.
pub fn of_location(policy: &ServicePolicy) -> Option<&'static str> {
    let times = [policy.timeouts.connect, policy.timeouts.response];
    [
        (times.iter().any(Option::is_some), "timeouts"),
        (policy.retries.is_some(), "retries"),
        (policy.sticky.is_some(), "sticky"),
        (policy.strip_prefix.is_some(), "strip-prefix"),
        (!policy.request_headers.is_empty(), "request-headers"),
        (!policy.response_headers.is_empty(), "response-headers"),
        (policy.redirect_https, "redirect-https"),
        (!policy.allow.is_empty(), "allow"),
        (policy.rate_limit.is_some(), "rate-limit"),
        (policy.http2, "http2"),
    ]
    .into_iter()
    .find_map(|(said, what)| said.then_some(what))
}

/// A service's policy in nginx's words; the defaults are no words at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Words {
    /// Lines of the http block.
    pub http: Vec<String>,
    /// Lines of its upstream, before the servers.
    pub upstream: Vec<String>,
    /// What stands behind the address and weight of each server.
    pub server: String,
    /// Lines of its location, or of its server where it speaks bytes alone; the one that passes requests on last.
    pub location: Vec<String>,
}

/// How the listener is asked that requests come in by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Where requests that want TLS are sent.
    pub https: Option<u16>,
    /// How clients and servers are treated.
    pub manners: Manners,
}

/// The words for a service. `to` is the upstream that its requests go to.
pub fn words(policies: &Policies, service: &ServiceName, to: &str, asked: Asked) -> Words {
    let policy = policies.get(service);
    // Of variables and zones: a service's name may hold what theirs must not.
    let number = policies.iter().position(|(name, _)| name == service).unwrap_or_default();
    Words {
        http: http(policy, number),
        upstream: balance(policy, number),
        server: server(policy),
        location: location(policy, number, to, asked),
    }
}

/// The words for a service that speaks bytes alone.
pub fn tcp_words(policies: &Policies, service: &ServiceName, to: &str) -> Words {
    let policy = policies.get(service);
    let connect = policy.timeouts.connect.map(|time| format!("proxy_connect_timeout {};", millis(time)));
    let idle = policy.timeouts.idle.map(|time| format!("proxy_timeout {};", millis(time)));
    let tries = policy.retries.map(|retries| format!("proxy_next_upstream_tries {};", u16::from(retries) + 1));
    let upstream = match policy.balance {
        Balance::RoundRobin | Balance::Uri => None,
        Balance::LeastConn => Some("least_conn;"),
        Balance::Random => Some("random;"),
        Balance::Source => Some("hash $remote_addr consistent;"),
    };
    let location = location::admit(policy).into_iter().chain([connect, idle, tries].into_iter().flatten());
    Words {
        http: Vec::new(),
        upstream: upstream.into_iter().map(str::to_owned).collect(),
        server: server(policy),
        location: location.chain([format!("proxy_pass {to};")]).collect(),
    }
}

fn server(policy: &ServicePolicy) -> String {
    policy.maxconn.map(|max| format!(" max_conns={max}")).unwrap_or_default()
}

fn balance(policy: &ServicePolicy, number: usize) -> Vec<String> {
    let line = match policy.balance {
        _ if policy.sticky.is_some() => format!("hash $bc_client_{number} consistent;"),
        Balance::RoundRobin => return Vec::new(),
        Balance::LeastConn => "least_conn;".into(),
        Balance::Random => "random;".into(),
        Balance::Source => "hash $binary_remote_addr consistent;".into(),
        Balance::Uri => "hash $request_uri consistent;".into(),
    };
    vec![line]
}

/// The maps and zones that the location's lines name.
fn http(policy: &ServicePolicy, number: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Rate { requests, per_minute }) = policy.rate_limit {
        let unit = if per_minute { "m" } else { "s" };
        lines.push(format!("limit_req_zone $binary_remote_addr zone=bc-rate-{number}:10m rate={requests}r/{unit};"));
    }
    if let Some(cookie) = policy.sticky.as_ref().map(CookieName::as_str) {
        // Who has no cookie yet is told apart by the request, and gets its number as one.
        lines.push(format!("map $cookie_{cookie} $bc_client_{number} {{ '' $request_id; default $cookie_{cookie}; }}"));
        let set = format!("\"{cookie}=$request_id; Path=/; HttpOnly\"");
        lines.push(format!("map $cookie_{cookie} $bc_cookie_{number} {{ '' {set}; default ''; }}"));
    }
    if let Some(prefix) = &policy.strip_prefix {
        lines.extend(paths::stripped(prefix, number));
    }
    lines
}

/// Whole milliseconds, as nginx writes times.
fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// The upstream of a service.
pub(super) fn name(service: &ServiceName) -> String {
    upstream(service)
}
