//! The lines of a service's location.

use backchat_contract::{
    Manners, ServicePolicy,
    policy::{Header, Rate},
};

use super::{Asked, millis};

/// What every request to a server says, as the template's http block has it: nginx takes none of them over into a
/// location that says one of its own.
const HEADERS: [(&str, &str); 3] =
    [("Host", "$bc_host"), ("Connection", "$bc_connection"), ("Upgrade", "$http_upgrade")];

/// Beside these: who asks and how, whatever the client says of it.
const OURS: [(&str, &str); 2] = [("X-Forwarded-For", "$proxy_add_x_forwarded_for"), ("X-Forwarded-Proto", "$scheme")];

/// The same as Hipache says it: only where nobody in front of this one has. The variables are the template's.
const HIPACHE: [(&str, &str); 5] = [
    ("X-Forwarded-For", "$bc_forwarded_for"),
    ("X-Forwarded-Proto", "$bc_forwarded_proto"),
    ("X-Forwarded-Protocol", "$bc_forwarded_protocol"),
    ("X-Forwarded-Port", "$bc_forwarded_port"),
    ("X-Real-IP", "$bc_real_ip"),
];

/// What the template's http block says of `proxy_pass` and `grpc_pass` has to be told too; not there, for an nginx may be
/// built without it.
const GRPC: [&str; 3] = [
    "grpc_next_upstream error timeout invalid_header;",
    "grpc_next_upstream_timeout 10s;",
    "grpc_ignore_headers X-Accel-Redirect X-Accel-Charset X-Accel-Limit-Rate;",
];

/// Where nginx looks for the location of a service whose upstream is this.
pub(crate) fn place(policy: &ServicePolicy, upstream: &str) -> String {
    if policy.http2 { named(upstream) } else { format!("= /bc/{upstream}") }
}

/// The location that is found by no path.
pub(super) fn named(upstream: &str) -> String {
    format!("@{upstream}")
}

pub(super) fn location(policy: &ServicePolicy, number: usize, to: &str, asked: Asked) -> Vec<String> {
    // The modules that speak HTTP/1.1 and HTTP/2 to servers say the same by other names.
    let module = if policy.http2 { "grpc" } else { "proxy" };
    let mut lines = Vec::new();
    if let Some(port) = asked.https.filter(|_| policy.redirect_https) {
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        lines.push(format!("if ($scheme = http) {{ return 308 https://$host{port}$request_uri; }}"));
    }
    lines.extend(admit(policy));
    if let Some(Rate { requests, .. }) = policy.rate_limit {
        // As many at once as in the whole of the time.
        let burst = requests.get() - 1;
        let burst = if burst == 0 { String::new() } else { format!(" burst={burst} nodelay") };
        lines.push(format!("limit_req zone=bc-rate-{number}{burst};"));
        lines.push("limit_req_status 429;".into());
    }
    if policy.http2 {
        lines.extend(GRPC.map(str::to_owned));
    }
    let connect = policy.timeouts.connect.map(millis).or_else(|| policy.http2.then(|| "2s".into()));
    lines.extend(connect.map(|time| format!("{module}_connect_timeout {time};")));
    let response = policy.timeouts.response.map(millis);
    let waits = ["read", "send"].map(|what| response.as_ref().map(|time| format!("{module}_{what}_timeout {time};")));
    lines.extend(waits.into_iter().flatten());
    let tries = policy.retries.map(|retries| u16::from(retries) + 1).or_else(|| policy.http2.then_some(4));
    lines.extend(tries.map(|tries| format!("{module}_next_upstream_tries {tries};")));
    lines.extend(request_headers(policy, number, module, asked.manners));
    for Header { name, value } in &policy.response_headers {
        let (name, value) = (name.as_str(), value.as_str());
        lines.push(format!("{module}_hide_header {name};"));
        if !value.is_empty() {
            lines.push(format!("add_header {name} \"{value}\" always;"));
        }
    }
    if policy.sticky.is_some() {
        lines.push(format!("add_header Set-Cookie $bc_cookie_{number} always;"));
    }
    lines.extend(pass(policy, number, to));
    lines
}

/// Who may come in; nothing where that is everybody.
pub(super) fn admit(policy: &ServicePolicy) -> Vec<String> {
    let mut lines: Vec<String> = policy.allow.iter().map(|network| format!("allow {network};")).collect();
    if !lines.is_empty() {
        lines.push("deny all;".into());
    }
    lines
}

fn request_headers(policy: &ServicePolicy, number: usize, module: &str, manners: Manners) -> Vec<String> {
    let prefix =
        policy.strip_prefix.as_ref().map(|_| format!("{module}_set_header X-Forwarded-Prefix $bc_prefix_{number};"));
    if policy.request_headers.is_empty() && prefix.is_none() && !policy.http2 {
        return Vec::new();
    }
    let own = |name: &str| policy.request_headers.iter().any(|h| h.name.as_str().eq_ignore_ascii_case(name));
    // HTTP/2 has no connections to speak of.
    let fits = |name: &str| !(policy.http2 && matches!(name, "Connection" | "Upgrade"));
    let forwarded: &[_] = if manners.is_hipache() { &HIPACHE } else { &OURS };
    let base = HEADERS.iter().chain(forwarded).filter(|(name, _)| fits(name) && !own(name));
    let base = base.map(|(name, value)| format!("{module}_set_header {name} {value};"));
    let said = policy
        .request_headers
        .iter()
        .map(|Header { name, value }| format!("{module}_set_header {} \"{}\";", name.as_str(), value.as_str()));
    base.chain(prefix).chain(said).collect()
}

fn pass(policy: &ServicePolicy, number: usize, to: &str) -> Vec<String> {
    if policy.http2 {
        return vec![format!("grpc_pass grpc://{to};")];
    }
    let uri = if policy.strip_prefix.is_some() { format!("$bc_uri_{number}") } else { "$request_uri".into() };
    vec![format!("proxy_pass http://{to}{uri};")]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A location that says a header of its own says all that the others get from the http block.
    #[test]
    fn the_headers_are_the_templates() {
        for template in [
            include_str!("../../../../templates/nginx.conf.jinja"),
            include_str!("../../../../templates/nginx-include.conf.jinja"),
            include_str!("../../../../templates/openresty.conf.jinja"),
            include_str!("../../../../templates/openresty-include.conf.jinja"),
        ] {
            let said = template.lines().filter_map(|line| line.trim().strip_prefix("proxy_set_header "));
            let ours = HEADERS.iter().chain(&HIPACHE).chain(&OURS).map(|(name, value)| format!("{name} {value};"));
            assert_eq!(said.collect::<Vec<_>>(), ours.collect::<Vec<_>>());
        }
    }
}
