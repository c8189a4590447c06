//! Names and addresses as newtypes: the only way bytes from outside reach a file or a command.
//!
//! Every value is refused or taken as it is, never stripped or repaired. The alphabets are chosen so
//! that no member of them means anything to HAProxy's or nginx's parsers.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::magic::{IP, MagicDomain};

/// Why a value is not a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        // A hostile value may be long; an error is read by people.
        let value = value.chars().take(80).collect();
        Self { what, value, rule }
    }
}

/// Shared, for names are copied wherever a set is: a copy takes no memory of its own.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The same text, for whoever keeps it too.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                $parse(text).map(|text| Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_newtype!(
    /// A service: 1 to 64 of `A-Za-z0-9_.-`, the first a letter or a digit.
    ServiceName,
    service_name
);
text_newtype!(
    /// A node of the cluster: 1 to 64 of `A-Za-z0-9_.-`, the first a letter or a digit.
    NodeName,
    node_name
);
text_newtype!(
    /// An endpoint within its service: a node's name, or `node:port` where one node offers a service
    /// more than once. At most 70 of `A-Za-z0-9_.:-`.
    EndpointName,
    endpoint_name
);
text_newtype!(
    /// A certificate, by which it is kept and told apart: 1 to 128 of `A-Za-z0-9_.-`, the first a letter or a digit, or
    /// one `_` before that.
    CertName,
    cert_name
);
text_newtype!(
    /// A path a route begins with: `/` alone, or whole segments without a slash at the end. At most
    /// 256 of `A-Za-z0-9_.~-` and `/`; no empty, `.` or `..` segment.
    PathPrefix,
    path_prefix
);

const WORD: &str = "use 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or a digit";

fn is_word(text: &str, extra: &[u8], max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b) || extra.contains(&b))
}

fn service_name(text: &str) -> Result<String, NameError> {
    if is_word(text, b"", 64) { Ok(text.to_owned()) } else { Err(NameError::new("service name", text, WORD)) }
}

fn node_name(text: &str) -> Result<String, NameError> {
    if is_word(text, b"", 64) { Ok(text.to_owned()) } else { Err(NameError::new("node name", text, WORD)) }
}

fn endpoint_name(text: &str) -> Result<String, NameError> {
    let rule = "use 1 to 70 of A-Z a-z 0-9 _ . : - and begin with a letter or a digit";
    if is_word(text, b":", 70) { Ok(text.to_owned()) } else { Err(NameError::new("endpoint name", text, rule)) }
}

fn cert_name(text: &str) -> Result<String, NameError> {
    let rule = "use 1 to 128 of A-Z a-z 0-9 _ . - and begin with a letter or a digit, or one _ before that";
    // Of `*.example.com` the file is often named `_.example.com`.
    let word = text.strip_prefix('_').map_or(text, |rest| rest.strip_prefix('.').unwrap_or(rest));
    if is_word(word, b"", 126) { Ok(text.to_owned()) } else { Err(NameError::new("certificate name", text, rule)) }
}

fn path_prefix(text: &str) -> Result<String, NameError> {
    let refuse = |rule| Err(NameError::new("path", text, rule));
    if text.len() > 256 {
        return refuse("at most 256 bytes");
    }
    if text == "/" {
        return Ok(text.to_owned());
    }
    let Some(rest) = text.strip_prefix('/') else { return refuse("begin with /") };
    let segment_ok =
        |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~-".contains(&b));
    if rest.split('/').all(segment_ok) {
        Ok(text.to_owned())
    } else {
        refuse("use whole segments of A-Z a-z 0-9 _ . ~ - with no / at the end, no empty, . or .. segment")
    }
}

impl From<&NodeName> for EndpointName {
    fn from(node: &NodeName) -> Self {
        Self(node.shared())
    }
}

/// Whether a text is a label of DNS, letters in either case.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Which hosts a route answers: one, one with any address in it, all below a domain (up to five labels deep), or any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// One host, in lower case.
    Exact(String),
    /// A name, any address, and a domain whose names carry addresses; see [`magic`](crate::magic()).
    Magic {
        /// The name, in lower case.
        label: String,
        /// The domain, in lower case.
        domain: String,
    },
    /// `*.` and this domain, in lower case; the domain itself does not match.
    Wildcard(String),
    /// Any host: the default.
    Any,
}

impl FromStr for HostPattern {
    type Err = NameError;

    /// Takes `host`, `name.<ip>.domain`, `*.domain` or `*`; letters in any case (RFC 4343), digits and hyphens, labels of
    /// 1 to 63, at most 253 bytes in all, no dot at the end.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some((label, domain)) = text.split_once(IP) {
            let pattern = domain.parse::<MagicDomain>().ok().and_then(|domain| domain.host(label));
            return pattern.ok_or_else(|| NameError::new("host", text, "use name.<ip>.domain"));
        }
        let (wildcard, domain) = text.strip_prefix("*.").map_or((false, text), |domain| (true, domain));
        if text.len() > 253 || !domain.split('.').all(is_label) {
            let rule = "use labels of letters, digits and inner hyphens, at most 253 bytes; or *.domain; or *";
            return Err(NameError::new("host", text, rule));
        }
        let domain = domain.to_ascii_lowercase();
        Ok(if wildcard { Self::Wildcard(domain) } else { Self::Exact(domain) })
    }
}

impl TryFrom<String> for HostPattern {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(host: HostPattern) -> Self {
        host.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.pad(host),
            Self::Magic { label, domain } => f.pad(&format!("{label}{IP}{domain}")),
            Self::Wildcard(domain) => f.pad(&format!("*.{domain}")),
            Self::Any => f.pad("*"),
        }
    }
}

/// An endpoint's share of the traffic, 0 to 256; 0 takes no new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u16);

impl Weight {
    /// What an endpoint weighs that does not say.
    pub const DEFAULT: Self = Self(100);

    /// The weight as a number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u32> for Weight {
    type Error = NameError;
    fn try_from(weight: u32) -> Result<Self, NameError> {
        match u16::try_from(weight) {
            Ok(w @ 0..=256) => Ok(Self(w)),
            _ => Err(NameError::new("weight", &weight.to_string(), "use 0 to 256")),
        }
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0.into()
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an endpoint listens: a unicast IP that is not link-local, and a port that is not 0.
///
/// Loopback passes here: whether it may be used is the operator's policy, which the model applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SocketAddr", into = "SocketAddr")]
pub struct EndpointAddr(SocketAddr);

impl EndpointAddr {
    /// The address as the standard library's type.
    pub fn get(self) -> SocketAddr {
        self.0
    }
}

impl TryFrom<SocketAddr> for EndpointAddr {
    type Error = NameError;

    fn try_from(addr: SocketAddr) -> Result<Self, NameError> {
        let refuse = |rule| Err(NameError::new("endpoint address", &addr.to_string(), rule));
        // A v4-mapped address is the same host as its v4 form: take it as that, so that no rule is passed by.
        let ip = addr.ip().to_canonical();
        let link_local = match ip {
            std::net::IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if ip.is_unspecified() || ip.is_multicast() || link_local {
            return refuse("use a unicast address that is not link-local");
        }
        if addr.port() == 0 {
            return refuse("use a port from 1 to 65535");
        }
        Ok(Self(SocketAddr::new(ip, addr.port())))
    }
}

impl From<EndpointAddr> for SocketAddr {
    fn from(addr: EndpointAddr) -> Self {
        addr.0
    }
}

impl fmt::Display for EndpointAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<T: FromStr>(taken: &[&str], refused: &[&str]) {
        for text in taken {
            assert!(text.parse::<T>().is_ok(), "refused {text:?}");
        }
        for text in refused {
            assert!(text.parse::<T>().is_err(), "took {text:?}");
        }
    }

    #[test]
    fn words() {
        let long = "a".repeat(65);
        check::<ServiceName>(
            &["web", "a", "Web-1.x_y"],
            &["", "-a", ".a", "a b", "a;b", "a\nb", "ä", "a/b", "a:b", &long],
        );
        check::<CertName>(
            &["www.example.com", "_.example.com", "_a", "a-b_c"],
            &["", "_", ".", "..", "../a", "a/b", "*.b", "a b", "-a", "a\nb"],
        );
        check::<EndpointName>(&["web1", "web1:8080"], &["", ":a", "a/b", "a b"]);
    }

    #[test]
    fn hosts() {
        check::<HostPattern>(
            &["a", "www.example.com", "*.example.com", "*", "1.2.3.4", "web.<ip>.nip.io"],
            &[
                "",
                "*.",
                "a..b",
                "-a.b",
                "a-.b",
                "a.",
                "*.*.b",
                "**",
                "a*",
                "a_b",
                "a b",
                "a;b",
                "${X}.b",
                "b\u{202e}a",
                "<ip>.b",
                "a.<ip>",
                "a.b.<ip>.c",
                "a.<ip>.*",
                "a.<ip>.b.<ip>.c",
            ],
        );
        assert_eq!("WWW.Example.COM".parse(), Ok(HostPattern::Exact("www.example.com".into())));
    }

    #[test]
    fn paths() {
        check::<PathPrefix>(
            &["/", "/a", "/a/b.c"],
            &["", "a", "//", "/a/", "/a//b", "/../a", "/.", "/a b", "/%2e", "/a?b", "/a#"],
        );
    }

    #[test]
    fn addresses() {
        check_addr("10.0.0.1:80", true);
        check_addr("127.0.0.1:80", true);
        check_addr("[2001:db8::1]:80", true);
        for refused in [
            "10.0.0.1:0",
            "0.0.0.0:80",
            "224.0.0.1:80",
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[::]:80",
            "[::ffff:169.254.1.1]:80",
        ] {
            check_addr(refused, false);
        }
    }

    fn check_addr(text: &str, taken: bool) {
        let addr: SocketAddr = text.parse().unwrap();
        assert_eq!(EndpointAddr::try_from(addr).is_ok(), taken, "{text}");
    }

    proptest! {
        /// What was taken is printed as it is read, and holds no byte that a parser cares for.
        #[test]
        fn taken_names_are_plain(text in ".{0,80}") {
            if let Ok(name) = text.parse::<ServiceName>() {
                prop_assert_eq!(name.as_str(), &text);
            }
            if let Ok(host) = text.parse::<HostPattern>() {
                prop_assert!(host.to_string().bytes().all(|b| b.is_ascii_alphanumeric() || b".-*<>".contains(&b)));
            }
            if let Ok(path) = text.parse::<PathPrefix>() {
                let special = |c: char| c.is_whitespace() || c.is_control() || "\"';#{}$".contains(c);
                prop_assert!(!path.as_str().contains(special));
            }
        }
    }
}
