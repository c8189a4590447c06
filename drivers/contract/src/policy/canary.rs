//! A part of a service's traffic that goes to some of its endpoints alone.

use std::fmt;

use super::words::{CookieName, HeaderName, HeaderValue, Share};
use crate::names::ServiceName;

/// Which requests go to which endpoints of a service.
///
/// The endpoints are a service of their own: they come, drain and go as any others, and are not the service's any more.
/// Requests that are picked go there while one of them is ready, and to the service else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The service that they are: `web.canary`.
    pub service: ServiceName,
    /// The tag, key and value, that a member has whose endpoints they are.
    pub tag: (String, String),
    /// Which requests.
    pub pick: Pick,
}

/// Which requests go to a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// As many of a hundred, whoever sends them.
    Share(Share),
    /// Those with a header of this value.
    Header(HeaderName, HeaderValue),
    /// Those with a cookie of this value.
    Cookie(CookieName, HeaderValue),
}

impl Canary {
    /// Its share of ten thousand requests, where it has one.
    pub fn share(&self) -> Option<u16> {
        match &self.pick {
            Pick::Share(share) => Some(share.of_10000()),
            Pick::Header(..) | Pick::Cookie(..) => None,
        }
    }
}

/// As people read it: `5% of requests`, `header x-try: canary`, `cookie try=canary`.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{share} of requests"),
            Self::Header(name, value) => write!(f, "header {}: {}", name.as_str(), value.as_str()),
            Self::Cookie(name, value) => write!(f, "cookie {}={}", name.as_str(), value.as_str()),
        }
    }
}
