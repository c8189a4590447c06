//! A backend as a frontend's list writes it: `http://10.0.0.7:8080`, or `backchat:NAME`. Refused or taken as it is.

use std::net::{IpAddr, SocketAddr};

use crate::model::{EndpointAddr, EndpointName, FRONTEND, NameError, ServiceName, words::quoted};

/// What stands before the name of a service that others offer.
const GUEST: &str = "backchat:";

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// To this address.
    At(EndpointAddr),
    /// To whoever offers this service.
    Of(ServiceName),
}

/// What is written there, or why it cannot be taken.
pub(super) fn parse(text: &str) -> Result<Backend, String> {
    if let Some(name) = text.strip_prefix(GUEST) {
        if name.starts_with(FRONTEND) || name.starts_with("bc-") {
            return Err(format!(
                "{} is no backend: {FRONTEND}… and bc-… are no services that gossip",
                quoted(text, 80)
            ));
        }
        return name.parse().map(Backend::Of).map_err(|e: NameError| e.to_string());
    }
    let wrong = |why: &str| Err(format!("{} is no backend: {why}", quoted(text, 80)));
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("use http://IP:PORT, or backchat:SERVICE for one that gossips");
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return wrong("only http:// is spoken to backends");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return wrong("use http://IP:PORT, without a path or a user");
    }
    let Some(addr) = addr(authority) else {
        return wrong("use the IP in place of a name, and a port from 1 to 65535");
    };
    EndpointAddr::try_from(addr).map(Backend::At).map_err(|e| e.to_string())
}

/// An address whose port may be left out: then it is 80.
fn addr(authority: &str) -> Option<SocketAddr> {
    let ip =
        || authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority).parse::<IpAddr>();
    authority.parse().ok().or_else(|| ip().ok().map(|ip| SocketAddr::new(ip, 80)))
}

/// What an endpoint is called that is known by its address alone: the address, in an endpoint's alphabet. It stays when
/// others of its list go, as its place there does not.
pub(super) fn name(addr: EndpointAddr) -> EndpointName {
    let addr = addr.get();
    let name = match addr.ip() {
        IpAddr::V4(ip) => format!("{ip}:{}", addr.port()),
        IpAddr::V6(ip) => {
            let groups: Vec<_> = ip.segments().iter().map(|group| format!("{group:x}")).collect();
            format!("{}:{}", groups.join("-"), addr.port())
        }
    };
    name.parse().expect("digits, dots or hyphens, a colon and a port are an endpoint's name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends() {
        let check = |text: &str, expected: &str| {
            let said = parse(text).map_or_else(
                |e| e,
                |backend| match backend {
                    Backend::At(addr) => format!("{addr} {}", name(addr)),
                    Backend::Of(service) => format!("of {service}"),
                },
            );
            assert_eq!(said, expected, "{text}");
        };
        check("http://10.0.0.7:8080", "10.0.0.7:8080 10.0.0.7:8080");
        check("HTTP://10.0.0.7/", "10.0.0.7:80 10.0.0.7:80");
        check("http://[2001:db8::7]:80", "[2001:db8::7]:80 2001-db8-0-0-0-0-0-7:80");
        check("http://[::1]", "[::1]:80 0-0-0-0-0-0-0-1:80");
        check("backchat:web", "of web");
        check(
            "backchat:we b",
            "\"we b\" is no service name: use 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or a digit",
        );
        let wrong = |text: &str, why: &str| check(text, &format!("{text:?} is no backend: {why}"));
        wrong("10.0.0.7:80", "use http://IP:PORT, or backchat:SERVICE for one that gossips");
        wrong("backchat:hipache.a", "hipache.… and bc-… are no services that gossip");
        wrong("https://10.0.0.7", "only http:// is spoken to backends");
        wrong("http://app1:3000", "use the IP in place of a name, and a port from 1 to 65535");
        wrong("http://10.0.0.7:99999", "use the IP in place of a name, and a port from 1 to 65535");
        wrong("http://10.0.0.7:80/app", "use http://IP:PORT, without a path or a user");
        wrong("http://u:p@10.0.0.7:80", "use http://IP:PORT, without a path or a user");
        // However long it is, so much is said of it.
        let long = "x".repeat(10_000);
        let why = "use http://IP:PORT, or backchat:SERVICE for one that gossips";
        check(&long, &format!("\"{}\" is no backend: {why}", &long[..80]));
        wrong("http://10.0.0.7:80\nserver x", "use the IP in place of a name, and a port from 1 to 65535");
        check(
            "http://224.0.0.1:80",
            "\"224.0.0.1:80\" is no endpoint address: use a unicast address that is not link-local",
        );
    }
}
