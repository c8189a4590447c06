//! How each service is balanced, checked as a whole.

use std::{collections::BTreeMap, time::Duration};

use backchat_contract::{
    Policies, ServicePolicy,
    policy::{Canary, Check, Header, Pick, Timeouts},
};

use super::Error;
use crate::{
    config::{CanaryTable, CheckTable, Headers, Pair, ServiceTable, Span, Tag, Text, TimeoutsTable},
    model::ServiceName,
};

/// The policies that tables say.
///
/// # Errors
/// Where one says what cannot be meant: the error names the service and the key.
pub(super) fn policies(tables: BTreeMap<ServiceName, ServiceTable>) -> Result<Policies, Error> {
    let policies = tables.into_iter().map(|(name, table)| {
        let policy = policy(&name, table).map_err(|why| Error::Service(name.clone(), why))?;
        Ok((name, policy))
    });
    let named = policies.collect::<Result<BTreeMap<_, _>, Error>>()?;
    if let Some(name) = named.keys().find(|name| name.as_str().starts_with("bc-")) {
        return Err(Error::Service(name.clone(), "what begins with bc- is backchat's own".into()));
    }
    for (name, policy) in &named {
        if let Some(canary) = policy.canaries.iter().find(|canary| named.contains_key(&canary.service)) {
            let why = format!("canary: '{}' is a service of its own: choose another name", canary.service);
            return Err(Error::Service(name.clone(), why));
        }
    }
    Ok(named.into_iter().collect())
}

/// A time that HAProxy and nginx can both say: whole milliseconds, at most 24 days.
fn span(key: &str, given: Option<Text<Span>>) -> Result<Option<Duration>, String> {
    let Some(Text(Span(time))) = given else { return Ok(None) };
    let fits = (Duration::from_millis(1)..=Duration::from_secs(24 * 86400)).contains(&time);
    if fits { Ok(Some(time)) } else { Err(format!("{key}: use 1ms to 24d")) }
}

fn policy(name: &ServiceName, table: ServiceTable) -> Result<ServicePolicy, String> {
    if let Some(retries) = table.retries.filter(|retries| *retries > 10) {
        return Err(format!("retries = {retries}: use 0 to 10"));
    }
    if table.allow.as_ref().is_some_and(Vec::is_empty) {
        return Err("allow: an empty list would let nobody in: leave it out for everybody, or name a network".into());
    }
    if table.strip_prefix.as_ref().is_some_and(|prefix| prefix.as_str() == "/") {
        return Err("strip-prefix: '/' is in front of every path: leave it out".into());
    }
    let canaries = canaries(name, table.canary)?;
    let shares: u32 = canaries.iter().filter_map(Canary::share).map(u32::from).sum();
    if shares > 10_000 {
        return Err("canary: the shares are more than 100% together".into());
    }
    if table.sticky.is_some() && shares > 0 {
        let instead = "pick by a cookie or a header";
        return Err(format!("sticky: a canary's share is drawn anew for each request, which keeps nobody: {instead}"));
    }
    Ok(ServicePolicy {
        balance: table.balance.unwrap_or_default(),
        check: table.check.map(check).transpose()?,
        timeouts: timeouts(table.timeouts)?,
        maxconn: table.maxconn,
        retries: table.retries,
        sticky: table.sticky,
        min_ready: table.min_ready.unwrap_or(0),
        strip_prefix: table.strip_prefix,
        request_headers: headers(table.request_headers),
        response_headers: headers(table.response_headers),
        redirect_https: table.redirect_https.unwrap_or(false),
        slow_start: span("slow-start", table.slow_start)?,
        allow: table.allow.unwrap_or_default(),
        rate_limit: table.rate_limit,
        http2: table.http2.unwrap_or(false),
        canaries,
    })
}

fn check(table: CheckTable) -> Result<Check, String> {
    let interval = span("check.interval", table.interval)?;
    Ok(Check { path: table.path, interval, rise: table.rise, fall: table.fall })
}

fn timeouts(table: TimeoutsTable) -> Result<Timeouts, String> {
    Ok(Timeouts {
        connect: span("timeouts.connect", table.connect)?,
        response: span("timeouts.response", table.response)?,
        queue: span("timeouts.queue", table.queue)?,
        idle: span("timeouts.idle", table.idle)?,
    })
}

fn headers(headers: Headers) -> Vec<Header> {
    headers.0.into_iter().map(|(name, value)| Header { name, value }).collect()
}

fn canaries(name: &ServiceName, tables: Vec<CanaryTable>) -> Result<Vec<Canary>, String> {
    let mut canaries: Vec<Canary> = Vec::new();
    for table in tables {
        let own = table.name.as_deref().unwrap_or("canary");
        let service: ServiceName = format!("{name}.{own}").parse().map_err(|e| format!("canary: {e}"))?;
        if canaries.iter().any(|other| other.service == service) {
            return Err(format!("canary: two are called '{own}': give each a name"));
        }
        let Text(Tag { key, value }) = table.tag;
        let pick = match (table.share, table.header, table.cookie) {
            (Some(share), None, None) => Pick::Share(share),
            (None, Some(Text(Pair(name, value))), None) => Pick::Header(name, value),
            (None, None, Some(Text(Pair(name, value)))) => Pick::Cookie(name, value),
            _ => return Err(format!("canary '{own}': use one of share, header and cookie")),
        };
        if let Pick::Header(_, value) | Pick::Cookie(_, value) = &pick
            && value.as_str().is_empty()
        {
            return Err(format!("canary '{own}': a header or cookie needs a value"));
        }
        canaries.push(Canary { service, tag: (key, value), pick });
    }
    Ok(canaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let tables = toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned());
        let said = match tables.map(policies) {
            Ok(Ok(policies)) => format!("{} policies", policies.iter().count()),
            Ok(Err(e)) => e.to_string(),
            Err(e) => e,
        };
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        check("[web]\nretries = 11", "services.web: retries = 11: use 0 to 10");
        check("[web]\nslow-start = '0s'", "services.web: slow-start: use 1ms to 24d");
        check("[web]\nstrip-prefix = '/'", "services.web: strip-prefix: '/' is in front of every path: leave it out");
        check("[[web.canary]]\ntag = 'a=b'", "services.web: canary 'canary': use one of share, header and cookie");
        check(
            "[[web.canary]]\ntag = 'a=b'\nshare = '60%'\n[[web.canary]]\nname = 'b'\ntag = 'a=c'\nshare = '41%'",
            "services.web: canary: the shares are more than 100% together",
        );
        check(
            "[web]\nsticky = 'a'\n[[web.canary]]\ntag = 'a=b'\nshare = '60%'",
            "services.web: sticky: a canary's share is drawn anew for each request, which keeps nobody: pick by a cookie or \
             a header",
        );
        check(
            "[[web.canary]]\ntag = 'a=b'\ncookie = 'a='",
            "services.web: canary 'canary': a header or cookie needs a value",
        );
        check(
            "[[web.canary]]\ntag = 'a=b'\nshare = '1%'\n[[web.canary]]\ntag = 'a=c'\nshare = '1%'",
            "services.web: canary: two are called 'canary': give each a name",
        );
        check(
            "[[web.canary]]\ntag = 'a=b'\nshare = '1%'\n['web.canary']",
            "services.web: canary: 'web.canary' is a service of its own: choose another name",
        );
    }

    #[test]
    fn an_empty_list_is_not_everybody() {
        let why = "allow: an empty list would let nobody in: leave it out for everybody, or name a network";
        check("[web]\nallow = []", &format!("services.web: {why}"));
    }

    #[test]
    fn what_is_backchats_own_is_no_service() {
        check("[bc-spare-01]\nretries = 1", "services.bc-spare-01: what begins with bc- is backchat's own");
    }

    #[test]
    fn a_whole_table() {
        let text = r#"
            [web]
            balance = "leastconn"
            check = { path = "/healthz", interval = "2s", rise = 1, fall = 3 }
            timeouts = { connect = "1s", response = "30s", queue = "5s", idle = "1h" }
            maxconn = 100
            retries = 2
            sticky = "bc_web"
            min-ready = 2
            strip-prefix = "/api"
            request-headers = { X-From = "backchat", Cookie = "" }
            response-headers = { Content-Security-Policy = "default-src 'self'" }
            redirect-https = true
            slow-start = "10s"
            allow = ["10.0.0.0/8", "::1"]
            rate-limit = "100/s"
            http2 = true
            [[web.canary]]
            tag = "version=2"
            cookie = "try=new"
            [[web.canary]]
            name = "beta"
            tag = "version=3"
            header = "X-Beta: yes"
        "#;
        check(text, "3 policies");
    }
}
