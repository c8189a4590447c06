//! How a service is balanced, as the operator says it: one type for all drivers, each of which says what of it it cannot
//! do before anything is applied.
//!
//! Members never say any of this: they say what they offer.

mod canary;
mod words;

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use canary::{Canary, Pick};
pub use words::{CookieName, Header, HeaderName, HeaderValue, Network, Rate, Share};

use crate::names::{PathPrefix, ServiceName};

/// How each service is balanced; those that are not named here by the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies(BTreeMap<ServiceName, ServicePolicy>);

/// The policy of a service that nobody named.
static DEFAULT: ServicePolicy = ServicePolicy::DEFAULT;

impl Policies {
    /// That of a service.
    pub fn get(&self, service: &ServiceName) -> &ServicePolicy {
        self.0.get(service).unwrap_or(&DEFAULT)
    }

    /// Whether the operator named the service.
    pub fn names(&self, service: &ServiceName) -> bool {
        self.0.contains_key(service)
    }

    /// The service whose canary this one is.
    pub fn home(&self, canary: &ServiceName) -> Option<&ServiceName> {
        let is = |policy: &ServicePolicy| policy.canaries.iter().any(|own| own.service == *canary);
        self.0.iter().find_map(|(service, policy)| is(policy).then_some(service))
    }

    /// The canary whose endpoints of this service a member with these tags has; of several the first.
    pub fn canary(&self, service: &str, tags: &BTreeMap<String, String>) -> Option<&ServiceName> {
        let canaries =
            self.0.iter().filter(|(name, _)| name.as_str() == service).flat_map(|(_, policy)| &policy.canaries);
        let mut theirs = canaries.filter(|canary| tags.get(&canary.tag.0) == Some(&canary.tag.1));
        theirs.next().map(|canary| &canary.service)
    }

    /// Those that were named, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &ServicePolicy)> {
        self.0.iter()
    }
}

/// Every service's canaries are services of their own, which are balanced as it is.
impl FromIterator<(ServiceName, ServicePolicy)> for Policies {
    fn from_iter<I: IntoIterator<Item = (ServiceName, ServicePolicy)>>(policies: I) -> Self {
        let mut all = BTreeMap::new();
        for (service, policy) in policies {
            for canary in &policy.canaries {
                let own = ServicePolicy { canaries: Vec::new(), min_ready: 0, ..policy.clone() };
                all.entry(canary.service.clone()).or_insert(own);
            }
            all.insert(service, policy);
        }
        Self(all)
    }
}

/// How one service is balanced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePolicy {
    /// Which endpoint takes a request.
    pub balance: Balance,
    /// How the data plane itself asks whether an endpoint is well.
    pub check: Option<Check>,
    /// How long is waited for what.
    pub timeouts: Timeouts,
    /// Requests that one endpoint gets at a time, at most.
    pub maxconn: Option<NonZeroU32>,
    /// How many further endpoints a failed request may try.
    pub retries: Option<u8>,
    /// The cookie that keeps a client at one endpoint.
    pub sticky: Option<CookieName>,
    /// Endpoints that suspicion and silence alone do not take away.
    pub min_ready: usize,
    /// What is cut off the front of the path before the endpoint sees it.
    pub strip_prefix: Option<PathPrefix>,
    /// Headers that requests get on their way, instead of those of the client.
    pub request_headers: Vec<Header>,
    /// Headers that answers get on their way, instead of those of the endpoint.
    pub response_headers: Vec<Header>,
    /// Whether a request without TLS is sent to where there is.
    pub redirect_https: bool,
    /// How long a new endpoint takes to get its full share.
    pub slow_start: Option<Duration>,
    /// Who may ask; everybody if empty.
    pub allow: Vec<Network>,
    /// How often one client address may ask.
    pub rate_limit: Option<Rate>,
    /// Whether endpoints are spoken to in HTTP/2 without TLS, as gRPC servers want it.
    pub http2: bool,
    /// Parts of the traffic that go to some of its endpoints alone.
    pub canaries: Vec<Canary>,
}

impl ServicePolicy {
    /// What is done where nobody says otherwise.
    pub const DEFAULT: Self = Self {
        balance: Balance::RoundRobin,
        check: None,
        timeouts: Timeouts { connect: None, response: None, queue: None, idle: None },
        maxconn: None,
        retries: None,
        sticky: None,
        min_ready: 0,
        strip_prefix: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        redirect_https: false,
        slow_start: None,
        allow: Vec::new(),
        rate_limit: None,
        http2: false,
        canaries: Vec::new(),
    };
}

impl ServicePolicy {
    /// What of it means nothing to a service that speaks bytes alone.
    pub fn http_only(&self) -> Option<&'static str> {
        [
            (self.balance == Balance::Uri, "balance = \"uri\""),
            (self.check.as_ref().is_some_and(|check| check.path.is_some()), "check.path"),
            (self.timeouts.response.is_some(), "timeouts.response"),
            (self.sticky.is_some(), "sticky"),
            (self.strip_prefix.is_some(), "strip-prefix"),
            (!self.request_headers.is_empty(), "request-headers"),
            (!self.response_headers.is_empty(), "response-headers"),
            (self.redirect_https, "redirect-https"),
            (self.rate_limit.is_some(), "rate-limit"),
            (self.http2, "http2"),
            (!self.canaries.is_empty(), "canary"),
        ]
        .into_iter()
        .find_map(|(said, what)| said.then_some(what))
    }
}

impl Default for ServicePolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which endpoint takes a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Each in its turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests.
    LeastConn,
    /// Any, by weight.
    Random,
    /// The same for a client address, by a consistent hash.
    Source,
    /// The same for a path and query, by a consistent hash.
    Uri,
}

/// How the data plane itself asks an endpoint, beside what its agent says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// The path that must be answered with 2xx or 3xx; a connection is enough where there is none.
    pub path: Option<PathPrefix>,
    /// From one to the next.
    pub interval: Option<Duration>,
    /// Passes until an endpoint is up.
    pub rise: Option<NonZeroU16>,
    /// Failures until it is down.
    pub fall: Option<NonZeroU16>,
}

/// How long is waited for what; the data plane's template says it where this does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to an endpoint.
    pub connect: Option<Duration>,
    /// For the next bytes of an answer.
    pub response: Option<Duration>,
    /// For a place at an endpoint that has as many requests as it may.
    pub queue: Option<Duration>,
    /// For the next bytes of an upgraded connection, or of one that is bytes alone.
    pub idle: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_balanced_as_its_service() {
        let canary = Canary {
            service: "web.canary".parse().unwrap(),
            tag: ("version".into(), "2".into()),
            pick: Pick::Share("5%".parse().unwrap()),
        };
        let web = ServicePolicy { retries: Some(1), canaries: vec![canary], min_ready: 2, ..ServicePolicy::DEFAULT };
        let policies: Policies = [("web".parse().unwrap(), web)].into_iter().collect();
        let own = ServicePolicy { retries: Some(1), ..ServicePolicy::DEFAULT };
        assert_eq!(policies.get(&"web.canary".parse().unwrap()), &own);
        assert_eq!(policies.get(&"other".parse().unwrap()), &ServicePolicy::DEFAULT);
    }
}
