//! `[services.NAME]`: how a service is balanced, as a file writes it. There is no flag for it: it is a table.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
};

use backchat_contract::policy::{Balance, CookieName, HeaderName, HeaderValue, Network, Rate, Share};
use serde::{Deserialize, Deserializer, de::Error};

use super::{Span, Tag, Text};
use crate::model::PathPrefix;

/// How one service is balanced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceTable {
    /// Which endpoint takes a request.
    pub balance: Option<Balance>,
    /// How the data plane itself asks an endpoint.
    pub check: Option<CheckTable>,
    /// How long is waited for what.
    #[serde(default)]
    pub timeouts: TimeoutsTable,
    /// Requests that one endpoint gets at a time, from 1.
    pub maxconn: Option<NonZeroU32>,
    /// Further endpoints that a failed request may try, 0 to 10.
    pub retries: Option<u8>,
    /// The cookie that keeps a client at one endpoint.
    pub sticky: Option<CookieName>,
    /// Endpoints that suspicion and silence alone do not take away.
    pub min_ready: Option<usize>,
    /// What is cut off the front of the path.
    pub strip_prefix: Option<PathPrefix>,
    /// Headers for the endpoint; `""` takes one away.
    #[serde(default)]
    pub request_headers: Headers,
    /// Headers for the client; `""` takes one away.
    #[serde(default)]
    pub response_headers: Headers,
    /// Whether requests without TLS are sent to where there is.
    pub redirect_https: Option<bool>,
    /// How long a new endpoint takes to get its full share.
    pub slow_start: Option<Text<Span>>,
    /// Who may ask; everybody if left out.
    pub allow: Option<Vec<Network>>,
    /// How often one client address may ask.
    pub rate_limit: Option<Rate>,
    /// Whether endpoints are spoken to in HTTP/2 without TLS.
    pub http2: Option<bool>,
    /// Parts of the traffic that go to some endpoints alone.
    #[serde(default)]
    pub canary: Vec<CanaryTable>,
}

impl ServiceTable {
    /// Whether any of it is a data plane's to do.
    pub fn is_of_a_plane(&self) -> bool {
        Self { min_ready: None, ..self.clone() } != Self::default()
    }
}

/// Headers by name, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub BTreeMap<HeaderName, HeaderValue>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut headers = BTreeMap::new();
        for (name, value) in BTreeMap::<String, HeaderValue>::deserialize(d)? {
            let name: HeaderName = name.parse().map_err(D::Error::custom)?;
            if headers.insert(name.clone(), value).is_some() {
                return Err(D::Error::custom(format!("header {} is said twice", name.as_str())));
            }
        }
        Ok(Self(headers))
    }
}

/// How the data plane itself asks an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckTable {
    /// What must be answered with 2xx or 3xx; a connection is enough where there is none.
    pub path: Option<PathPrefix>,
    /// From one to the next.
    pub interval: Option<Text<Span>>,
    /// Passes until an endpoint is up.
    pub rise: Option<NonZeroU16>,
    /// Failures until it is down.
    pub fall: Option<NonZeroU16>,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsTable {
    /// For a connection to an endpoint.
    pub connect: Option<Text<Span>>,
    /// For the next bytes of an answer.
    pub response: Option<Text<Span>>,
    /// For a place at an endpoint that is full.
    pub queue: Option<Text<Span>>,
    /// For the next bytes of an upgraded connection, or of one that is bytes alone.
    pub idle: Option<Text<Span>>,
}

/// A part of the traffic: which of `share`, `header` and `cookie` says, and exactly one does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryTable {
    /// What its service is called behind the service's own name: `web.NAME`; `canary` if left out.
    pub name: Option<String>,
    /// The tag of the members whose endpoints they are.
    pub tag: Text<Tag>,
    /// As many of a hundred requests.
    pub share: Option<Share>,
    /// Those with this header.
    pub header: Option<Text<Pair<HeaderName, ':'>>>,
    /// Those with this cookie.
    pub cookie: Option<Text<Pair<CookieName, '='>>>,
}

/// A name and a value, with a sign between: `X-Canary: yes`, `canary=yes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<N, const SIGN: char>(pub N, pub HeaderValue);

impl<N: std::str::FromStr<Err = backchat_contract::NameError>, const SIGN: char> std::str::FromStr for Pair<N, SIGN> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(SIGN).ok_or_else(|| format!("use NAME{SIGN}VALUE"))?;
        let said = |e: backchat_contract::NameError| e.to_string();
        Ok(Self(name.trim().parse().map_err(said)?, value.trim().parse().map_err(said)?))
    }
}
