//! A service's policy as HAProxy says it: the lines of its backend, and the keywords of its servers. Pure.
//!
//! What an operator wrote stands in double quotes: of what HAProxy reads there, `$`, `\` and `"` are in no value, and `%`
//! is doubled.

use std::{num::NonZero, time::Duration};

use backchat_contract::{
    Policies, Protocol, ServiceName, ServicePolicy,
    policy::{Balance, Canary, Header, Network, Pick, Rate},
};

use crate::options::ServerOptions;

/// What every server of the service is told.
pub fn options(policy: &ServicePolicy, base: &ServerOptions, protocol: Protocol) -> ServerOptions {
    let check = policy.check.clone().unwrap_or_default();
    ServerOptions {
        inter: check.interval.unwrap_or(base.inter),
        fastinter: check.interval.unwrap_or(base.fastinter).min(base.fastinter),
        downinter: check.interval.unwrap_or(base.downinter).min(base.downinter),
        rise: check.rise.map_or(base.rise, NonZero::get),
        fall: check.fall.map_or(base.fall, NonZero::get),
        maxconn: policy.maxconn,
        slow_start: policy.slow_start,
        http2: policy.http2,
        // HAProxy refuses it where there are no answers.
        observe: base.observe && protocol == Protocol::Http,
    }
}

/// The lines of the service's backend, in the order in which HAProxy wants them.
pub fn lines(service: &ServiceName, policy: &ServicePolicy, protocol: Protocol, https: Option<u16>) -> Vec<String> {
    let mut lines = balance(policy.balance, protocol);
    lines.extend(timeouts(policy, protocol));
    lines.extend(policy.retries.map(|retries| format!("retries {retries}")));
    if let Some(path) = policy.check.as_ref().and_then(|check| check.path.as_ref()) {
        lines.push("option httpchk".into());
        lines.push(format!("http-check send meth GET uri {} ver HTTP/1.1 hdr Host {service}", path.as_str()));
        lines.push("http-check expect status 200-399".into());
    }
    match protocol {
        Protocol::Tcp => lines.extend(admit(&policy.allow, "tcp-request content reject")),
        Protocol::Http => lines.extend(http(service, policy, https)),
    }
    lines
}

/// The lines of the listener that send requests of a service to its canaries; the name of its backend is in `txn.be`.
/// Where one of the two has nobody, the other answers.
pub fn canaries(policies: &Policies) -> Vec<String> {
    let mut lines = Vec::new();
    if policies.iter().any(|(_, policy)| policy.canaries.iter().any(|canary| canary.share().is_some())) {
        lines.push("http-request set-var(txn.draw) rand(10000)".into());
    }
    for (service, policy) in policies.iter() {
        lines.extend(canaries_of(service, policy));
    }
    lines
}

/// One draw a request: each share begins where the one before ended.
fn canaries_of(service: &ServiceName, policy: &ServicePolicy) -> Vec<String> {
    let mut drawn = 0;
    let lines = policy.canaries.iter().flat_map(|Canary { service: own, pick, .. }| {
        let picked = match pick {
            Pick::Share(share) => {
                let from = drawn;
                drawn += share.of_10000();
                // Nothing is drawn as high as that.
                let to = if from == drawn { "10000".into() } else { format!("{from}:{}", drawn - 1) };
                format!("var(txn.draw) -m int {to}")
            }
            Pick::Header(name, value) => format!("req.fhdr({}) -m str -- \"{}\"", name.as_str(), value.as_str()),
            Pick::Cookie(name, value) => format!("req.cook({}) -m str -- \"{}\"", name.as_str(), value.as_str()),
        };
        [picked, format!("nbsrv({service}) lt 1")].map(|when| {
            let serves = format!("{{ var(txn.be) -m str {service} }} {{ nbsrv({own}) gt 0 }}");
            format!("http-request set-var(txn.be) str({own}) if {serves} {{ {when} }}")
        })
    });
    lines.collect()
}

fn balance(balance: Balance, protocol: Protocol) -> Vec<String> {
    let algorithm = match (balance, protocol) {
        (Balance::RoundRobin, _) | (Balance::Uri, Protocol::Tcp) => return Vec::new(),
        (Balance::LeastConn, _) => "leastconn",
        (Balance::Random, _) => "random",
        (Balance::Source, _) => "source",
        (Balance::Uri, Protocol::Http) => "uri whole",
    };
    let is_hash = matches!(balance, Balance::Source | Balance::Uri);
    let hash = is_hash.then(|| "hash-type consistent".to_owned());
    [format!("balance {algorithm}")].into_iter().chain(hash).collect()
}

/// Bytes alone have no answers: what they are waited for is the server's time.
fn timeouts(policy: &ServicePolicy, protocol: Protocol) -> Vec<String> {
    let times = &policy.timeouts;
    let server = if protocol == Protocol::Tcp { times.idle } else { times.response };
    let tunnel = times.idle.filter(|_| protocol == Protocol::Http);
    let said = [("connect", times.connect), ("server", server), ("queue", times.queue), ("tunnel", tunnel)];
    let line = |(what, time): (&str, Option<Duration>)| Some(format!("timeout {what} {}ms", time?.as_millis()));
    said.into_iter().filter_map(line).collect()
}

/// Who may come in, and what becomes of others; nothing where that is everybody. HAProxy reads 64 words of a line.
fn admit(allow: &[Network], refuse: &str) -> Vec<String> {
    let line = |some: &[Network]| {
        let networks: Vec<String> = some.iter().map(ToString::to_string).collect();
        format!("acl bc_allowed src {}", networks.join(" "))
    };
    let mut lines: Vec<String> = allow.chunks(32).map(line).collect();
    if !lines.is_empty() {
        lines.push(format!("{refuse} unless bc_allowed"));
    }
    lines
}

fn http(service: &ServiceName, policy: &ServicePolicy, https: Option<u16>) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(admit(&policy.allow, "http-request deny deny_status 403"));
    lines.extend(policy.rate_limit.into_iter().flat_map(limit));
    if let Some(port) = https.filter(|_| policy.redirect_https) {
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        let to = format!("https://%[req.hdr(host),host_only]{port}%[pathq]");
        lines.push(format!("http-request redirect location {to} code 308 unless {{ ssl_fc }}"));
    }
    if let Some(prefix) = &policy.strip_prefix {
        let prefix = prefix.as_str();
        let within = format!("{{ path {prefix} }} || {{ path_beg {prefix}/ }}");
        lines.push("http-request del-header X-Forwarded-Prefix".into());
        lines.push(format!("http-request set-header X-Forwarded-Prefix {prefix} if {within}"));
        let pattern = prefix.replace('.', "[.]");
        lines.push(format!("http-request replace-path ^{pattern}/*(.*)$ '/\\1' if {within}"));
    }
    lines.extend(policy.request_headers.iter().map(|header| set("request", header)));
    lines.extend(policy.response_headers.iter().map(|header| set("after-response", header)));
    if let Some(cookie) = &policy.sticky {
        lines.push(format!("cookie {} insert indirect nocache httponly dynamic", cookie.as_str()));
        // The same on every balancer: a client may come by another one next time.
        lines.push(format!("dynamic-cookie-key {service}"));
    }
    lines
}

fn limit(rate: Rate) -> [String; 4] {
    let period = if rate.per_minute { "60s" } else { "1s" };
    [
        // Those that are refused do not count: who asks too often still gets as much as anybody.
        format!("stick-table type ipv6 size 100k expire {period} store gpc0,gpc0_rate({period})"),
        "http-request track-sc0 src".into(),
        format!("http-request deny deny_status 429 if {{ sc_gpc0_rate(0) ge {} }}", rate.requests),
        "http-request sc-inc-gpc0(0)".into(),
    ]
}

/// On answers of our own too.
fn set(what: &str, Header { name, value }: &Header) -> String {
    let (name, value) = (name.as_str(), value.as_str().replace('%', "%%"));
    if value.is_empty() {
        format!("http-{what} del-header {name}")
    } else {
        format!("http-{what} set-header {name} \"{value}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_bytes_alone_has_no_headers() {
        let sticky = ServicePolicy { sticky: Some("a".parse().unwrap()), ..ServicePolicy::DEFAULT };
        let lines = lines(&"db".parse().unwrap(), &sticky, Protocol::Tcp, None);
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn what_is_sent_elsewhere_keeps_its_path() {
        let policy = ServicePolicy { redirect_https: true, ..ServicePolicy::DEFAULT };
        let lines = |port| lines(&"web".parse().unwrap(), &policy, Protocol::Http, port);
        let to = |port| {
            format!(
                "http-request redirect location https://%[req.hdr(host),host_only]{port}%[pathq] code 308 unless {{ ssl_fc }}"
            )
        };
        assert_eq!(lines(Some(443)), [to("")]);
        assert_eq!(lines(Some(8443)), [to(":8443")]);
        assert_eq!(lines(None), [""; 0]);
    }
}
