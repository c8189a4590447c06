//! What a check looks at: `tcp://HOST:PORT`, `http://HOST:PORT/PATH`, `exec:COMMAND`.

use std::{fmt, net::IpAddr, str::FromStr};

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A connect.
    Tcp(Place),
    /// A GET of this path, which is to be answered with 2xx or 3xx.
    Http(Place, String),
    /// A command for `/bin/sh`, which is to end with status 0.
    Exec(String),
}

/// A host and a port, each of which may be left out: then it is this node's, and the service's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    host: Option<String>,
    port: Option<u16>,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; use tcp://HOST:PORT, http://HOST:PORT/PATH or exec:COMMAND (HOST and PORT default to the service's)")]
pub struct TargetError(String);

impl Place {
    /// The host, where one is named.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// What is left out is taken from here.
    pub(super) fn or(&self, ip: IpAddr, port: u16) -> Addr {
        Addr { host: self.host.clone().unwrap_or_else(|| ip.to_string()), port: self.port.unwrap_or(port) }
    }
}

/// A host and a port.
pub(super) struct Addr {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = |why: &str| TargetError(why.to_owned());
        if let Some(command) = text.strip_prefix("exec:") {
            let command = command.trim();
            return if command.is_empty() { Err(wrong("no command")) } else { Ok(Self::Exec(command.to_owned())) };
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            return Ok(Self::Tcp(place(rest.trim_end_matches('/'))?));
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(wrong("no kind of check"));
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if path.chars().any(|c| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(wrong("the path has a character that none has"));
        }
        Ok(Self::Http(place(host)?, path))
    }
}

fn place(text: &str) -> Result<Place, TargetError> {
    let wrong = |why: String| TargetError(why);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some(""))),
        None => text.rsplit_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !host.chars().all(is_name) && host.parse::<IpAddr>().is_err() || host.contains(':') && !text.starts_with('[') {
        return Err(wrong(format!("host '{host}' is no name or address")));
    }
    let port = match port {
        Some("") => None,
        Some(port) => {
            let number = port.parse::<std::num::NonZeroU16>();
            Some(number.map_err(|_| wrong(format!("port '{port}': use 1 to 65535")))?.get())
        }
        None => return Err(wrong(format!("'{text}' is no host and port"))),
    };
    Ok(Place { host: (!host.is_empty()).then(|| host.to_owned()), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let check = |text: &str, expected: &str| {
            let shown = match text.parse::<Target>() {
                Ok(Target::Tcp(place)) => format!("tcp {}", place.or([10, 0, 0, 7].into(), 80)),
                Ok(Target::Http(place, path)) => format!("http {} {path}", place.or([10, 0, 0, 7].into(), 80)),
                Ok(Target::Exec(command)) => format!("exec {command}"),
                Err(error) => error.to_string().split(';').next().unwrap().to_owned(),
            };
            assert_eq!(shown, expected, "{text}");
        };
        check("tcp://", "tcp 10.0.0.7:80");
        check("tcp://:81", "tcp 10.0.0.7:81");
        check("tcp://localhost", "tcp localhost:80");
        check("tcp://127.0.0.1:81/", "tcp 127.0.0.1:81");
        check("tcp://[::1]:81", "tcp [::1]:81");
        check("tcp://[::1]", "tcp [::1]:80");
        check("http://", "http 10.0.0.7:80 /");
        check("http:///healthz", "http 10.0.0.7:80 /healthz");
        check("http://:81/a?b=c", "http 10.0.0.7:81 /a?b=c");
        check("http://www.example.com?b", "http www.example.com:80 /?b");
        check("exec:  curl -f x ", "exec curl -f x");
        check("exec:", "no command");
        check("https://a", "no kind of check");
        check("tcp", "no kind of check");
        check("tcp://a:0", "port '0': use 1 to 65535");
        check("tcp://a:x", "port 'x': use 1 to 65535");
        check("tcp://a b", "host 'a b' is no name or address");
        check("tcp://::1", "host ':' is no name or address");
        check("tcp://[::1]x", "'[::1]x' is no host and port");
        check("http://a/b c", "the path has a character that none has");
    }
}
