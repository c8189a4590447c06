//! Names that carry an address: `web.10.1.2.164.nip.io` is resolved to 10.1.2.164 by whoever runs nip.io, sslip.io or
//! xip.io, so that a service has a name before anybody has touched DNS. Which address it is does not matter here: it led
//! the client to this balancer.

use std::{fmt, str::FromStr};

use crate::names::{HostPattern, NameError, is_label};

/// What stands for the address in a pattern.
pub(crate) const IP: &str = ".<ip>.";

/// A domain below which names carry addresses: `nip.io`. In lower case, at most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MagicDomain(String);

impl MagicDomain {
    /// The pattern of a name below it; `None` where the name is no label of DNS: then it has none.
    pub fn host(&self, name: &str) -> Option<HostPattern> {
        let label = name.to_ascii_lowercase();
        is_label(&label).then(|| HostPattern::Magic { label, domain: self.0.clone() })
    }
}

impl FromStr for MagicDomain {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > 128 || !text.split('.').all(is_label) {
            return Err(NameError::new("domain", text, "use labels of letters, digits and inner hyphens, like nip.io"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for MagicDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The pattern that a host in lower case is a case of: `name.10.1.2.164.domain`, `name.10-1-2-164.domain`,
/// `name-10-1-2-164.domain`, and IPv6 as sslip.io has it, `name.2a01-4f8--1.domain`. Every data plane reads them by these
/// rules, in words of its own.
pub fn magic(host: &str) -> Option<HostPattern> {
    let (first, rest) = host.split_once('.')?;
    let pattern = |label: &str, domain: &str| {
        let whole = !label.is_empty() && !domain.is_empty();
        whole.then(|| HostPattern::Magic { label: label.to_owned(), domain: domain.to_owned() })
    };
    let parts: Vec<&str> = rest.splitn(5, '.').collect();
    if let [a, b, c, d, domain] = parts[..]
        && [a, b, c, d].into_iter().all(is_octet)
    {
        return pattern(first, domain);
    }
    if let Some((ip, domain)) = rest.split_once('.')
        && (ip.split('-').count() == 4 && ip.split('-').all(is_octet) || is_v6(ip))
    {
        return pattern(first, domain);
    }
    let parts: Vec<&str> = first.rsplitn(5, '-').collect();
    match parts[..] {
        [a, b, c, d, label] if [a, b, c, d].into_iter().all(is_octet) => pattern(label, rest),
        _ => None,
    }
}

/// 0 to 255, without noughts in front.
fn is_octet(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    plain && text.parse::<u8>().is_ok()
}

/// Eight groups, or `--` once with at most six on each side.
fn is_v6(text: &str) -> bool {
    let is_group =
        |g: &str| (1..=4).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let side = |side: &str| side.is_empty() || side.split('-').count() <= 6 && side.split('-').all(is_group);
    match text.split_once("--") {
        Some((before, after)) => side(before) && side(after),
        None => text.split('-').count() == 8 && text.split('-').all(is_group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: Option<&str>) {
        assert_eq!(magic(host).map(|pattern| pattern.to_string()).as_deref(), expected, "{host}");
    }

    #[test]
    fn names_with_an_address() {
        let own = Some("sinatra1.<ip>.nip.io");
        for ip in [
            ".10.1.2.164",
            ".10-1-2-164",
            "-10-1-2-164",
            ".2a01-4f8--1",
            ".--1",
            ".1--",
            ".1-2-3-4-5-6-7-8",
            ".0.0.0.0",
        ] {
            check(&format!("sinatra1{ip}.nip.io"), own);
        }
        check("a-1-10-1-2-164.nip.io", Some("a-1.<ip>.nip.io"));
        check("sinatra1.10.1.2.164.a.b.c", Some("sinatra1.<ip>.a.b.c"));
        for ip in [
            "",
            ".10.1.2",
            ".10.1.2.256",
            ".10.1.2.064",
            ".10.1.2.-1",
            "-10-1-2",
            ".1--2--3",
            ".2a01-4f8-1",
            ".g--1",
            ".12345--",
        ] {
            check(&format!("sinatra1{ip}.nip.io"), None);
        }
        for host in [
            "",
            "nip.io",
            "10.1.2.164.nip.io",
            "x.sinatra1.10.1.2.164.nip.io",
            "sinatra1.10.1.2.164",
            "-10-1-2-164.nip.io",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn only_labels_have_names() {
        let domain: MagicDomain = "Nip.io".parse().unwrap();
        assert_eq!(domain.host("Web-1").map(|host| host.to_string()).as_deref(), Some("web-1.<ip>.nip.io"));
        for name in ["a_b", "a.b", "a-", &"a".repeat(64)] {
            assert_eq!(domain.host(name), None, "{name}");
        }
        for text in ["", ".", "nip.io.", "a_b.io", "*.nip.io", "<ip>"] {
            assert!(text.parse::<MagicDomain>().is_err(), "{text}");
        }
    }
}
