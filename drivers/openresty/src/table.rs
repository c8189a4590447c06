//! The table as lines of text: what is pushed, what is read back, and what the configuration file carries as comments.
//! Pure; the same lines are read by `templates/balancer.lua`.
//!
//! ```text
//! table 17                                     the version, from 1
//! service web http                             each service before what names it
//! endpoint web/web1 10.0.0.7:8080 100 ready    address, weight, ready or drain
//! route www.example.com /api web               host pattern, path, service
//! end 5                                        how many lines there are
//! ```
//!
//! A patch begins with `patch 18`, and has services of the table that it lies behind, each with all of its endpoints.

mod patch;

use std::{fmt::Write, net::SocketAddr};

use backchat_contract::{
    Desired, Endpoint, EndpointId, EndpointState, Protocol, Route, Service, ServiceName, Weight, push_addr,
};

pub use self::patch::Patch;

/// A set, and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Counts the pushes, from 1; at most 15 digits, for Lua counts in doubles.
    pub version: u64,
    /// What is served.
    pub set: Desired,
}

/// Why a text is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TableError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The greatest version.
const VERSION_MAX: u64 = 999_999_999_999_999;

/// The table as text.
pub fn encode(table: &Table) -> String {
    let mut lines = Lines::begin("table", table.version);
    for (name, service) in &table.set.services {
        lines.service(name, service);
    }
    for (Route { host, path }, service) in &table.set.routes {
        lines.line(&["route "], format_args!("{host} {path} {service}"));
    }
    lines.end()
}

/// What is written, line by line. Without a format for each word: with ten thousand servers that is much of what a plan
/// costs.
struct Lines {
    text: String,
    count: usize,
}

impl Lines {
    fn begin(kind: &str, version: u64) -> Self {
        Self { text: format!("{kind} {version}\n"), count: 1 }
    }

    fn line(&mut self, words: &[&str], rest: std::fmt::Arguments<'_>) {
        self.text.extend(words.iter().copied());
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(rest);
        self.text.push('\n');
        self.count += 1;
    }

    fn service(&mut self, name: &ServiceName, service: &Service) {
        let name = name.as_str();
        self.line(&["service ", name], format_args!(" {}", service.protocol));
        for (endpoint, Endpoint { addr, weight, state }) in &service.endpoints {
            let mut at = String::with_capacity(48);
            push_addr(&mut at, addr.get());
            let id = ["endpoint ", name, "/", endpoint.as_str(), " ", &at];
            self.line(&id, format_args!(" {} {state}", weight.get()));
        }
    }

    /// The line that says how many there are is one too.
    fn end(self) -> String {
        self.text + &format!("end {}\n", self.count + 1)
    }
}

/// Reads a table strictly: a text that is cut, said twice or not as [`encode`] writes it is none.
pub fn decode(text: &str) -> Result<Table, TableError> {
    let (version, set) = read(text, "table")?;
    Ok(Table { version, set })
}

/// The number and the set that a text of this kind has.
fn read(text: &str, kind: &'static str) -> Result<(u64, Desired), TableError> {
    let mut set = Desired::default();
    let mut version = 0;
    let mut ended = false;
    let mut read = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let refuse = |why| TableError { line: n + 1, why };
        let line = line.strip_suffix('\n').ok_or(refuse("cut off"))?;
        if ended {
            return Err(refuse("behind the end"));
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [first, said] if n == 0 && first == kind => version = number(said).ok_or(refuse("no version"))?,
            _ if n == 0 => return Err(refuse("no 'table VERSION'")),
            ["end", count] => {
                ended = count.parse() == Ok(n + 1);
                if !ended {
                    return Err(refuse("not the end after so many lines"));
                }
            }
            ref words => entry(&mut set, words).map_err(refuse)?,
        }
        read = n + 1;
    }
    if ended { Ok((version, set)) } else { Err(TableError { line: read + 1, why: "cut off" }) }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    digits.then(|| text.parse().ok()).flatten().filter(|n| *n <= VERSION_MAX)
}

fn entry(set: &mut Desired, words: &[&str]) -> Result<(), &'static str> {
    match *words {
        ["service", name, spoken] => {
            let name = name.parse().map_err(|_| "no service name")?;
            let known = [Protocol::Http, Protocol::Tcp].into_iter().find(|p| p.to_string() == spoken);
            let service = Service { protocol: known.ok_or("no protocol")?, ..Service::default() };
            once(set.services.insert(name, service).is_none())
        }
        ["endpoint", id, addr, weight, state] => {
            let id = endpoint_id(id).ok_or("no endpoint name")?;
            let endpoint = endpoint(addr, weight, state).ok_or("no endpoint")?;
            let service = set.services.get_mut(&id.service).ok_or("an endpoint of an unknown service")?;
            once(service.endpoints.insert(id.endpoint, endpoint).is_none())
        }
        ["route", host, path, service] => {
            let (host, path) = (host.parse().map_err(|_| "no host")?, path.parse().map_err(|_| "no path")?);
            let service = service.parse().map_err(|_| "no service name")?;
            if !set.services.contains_key(&service) {
                return Err("a route onto an unknown service");
            }
            once(set.routes.insert(Route { host, path }, service).is_none())
        }
        _ => Err("no such line"),
    }
}

fn once(new: bool) -> Result<(), &'static str> {
    if new { Ok(()) } else { Err("said twice") }
}

/// Reads `service/endpoint`.
pub(crate) fn endpoint_id(text: &str) -> Option<EndpointId> {
    let (service, endpoint) = text.split_once('/')?;
    Some(EndpointId { service: service.parse().ok()?, endpoint: endpoint.parse().ok()? })
}

fn endpoint(addr: &str, weight: &str, state: &str) -> Option<Endpoint> {
    let addr: SocketAddr = addr.parse().ok()?;
    let weight: u32 = weight.parse().ok()?;
    let states = [EndpointState::Ready, EndpointState::Drain];
    Some(Endpoint {
        addr: addr.try_into().ok()?,
        weight: Weight::try_from(weight).ok()?,
        state: states.into_iter().find(|s| s.to_string() == state)?,
    })
}

#[cfg(test)]
mod tests;
