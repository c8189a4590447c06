//! The set as comment lines at the end of the file: what nginx itself cannot say (names, drains, weights of what takes
//! nothing) is read back from there, by the same newtypes as anything from outside. Pure text both ways.
//!
//! One short line each: nginx refuses a comment of more than 4096 bytes.

use std::fmt::Write;

use backchat_contract::{EndpointId, Protocol, Route, Weight, push_addr};
use memchr::memmem;

use crate::certificates;
use crate::layout::{Admin, Layout, Server, Service};

/// What each of these lines begins with.
pub const MARK: &str = "#bc ";

/// Which rendering a file is, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which rendering of ours: it counts the reloads.
    pub generation: u64,
    /// The hash of what only a reload can change; nginx answers the same on its control socket.
    pub structure: String,
    /// The set.
    pub layout: Layout,
}

/// The set as lines.
#[cfg(any(test, feature = "paper"))]
pub fn print(kept: &Kept) -> String {
    print_set(kept.generation, &kept.structure, &kept.layout)
}

/// The same of a rendering. Without a format for each word: with ten thousand servers that is much of what a plan costs.
pub fn print_set(generation: u64, structure: &str, layout: &Layout) -> String {
    let mut text = format!("{MARK}set {generation} {structure}\n");
    let mut line = |words: &[&str], rest: std::fmt::Arguments<'_>| {
        text.push_str(MARK);
        text.extend(words.iter().copied());
        // Writing to a string does not fail.
        let _ = text.write_fmt(rest);
        text.push('\n');
    };
    for (name, service) in &layout.services {
        line(&["service ", name.as_str()], format_args!(" {}", service.protocol));
    }
    for (name, service) in &layout.services {
        for (endpoint, Server { addr, weight, admin }) in &service.servers {
            let mut at = String::with_capacity(48);
            push_addr(&mut at, addr.get());
            let id = ["endpoint ", name.as_str(), "/", endpoint.as_str(), " ", &at];
            match admin {
                Admin::Ready => line(&id, format_args!(" weight {}", weight.get())),
                Admin::Drain(since) => line(&id, format_args!(" weight {} drain@{since}", weight.get())),
            }
        }
    }
    for (Route { host, path }, service) in &layout.routes {
        line(&["route "], format_args!("{host} {path} {service}"));
    }
    text.push_str(&certificates::print(&layout.certificates));
    text
}

/// The hash of what a file says that only a reload can change; `None` where it is none of ours.
pub fn structure(file: &str) -> Option<&str> {
    let set = file.lines().find_map(|line| line.strip_prefix(MARK)?.strip_prefix("set "))?;
    set.split_once(' ').map(|(_, structure)| structure)
}

/// Reads the lines of a file; `None` where one is none that we could have written.
pub fn parse(file: &str) -> Option<Kept> {
    let mut lines = file.lines().filter_map(|line| line.strip_prefix(MARK));
    let (generation, structure) = lines.next()?.strip_prefix("set ")?.split_once(' ')?;
    let structure = structure.to_owned();
    let mut kept = Kept { generation: generation.parse().ok()?, structure, layout: Layout::default() };
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["service", name, spoken] => {
                let service = Service { protocol: read_protocol(spoken)?, ..Service::default() };
                kept.layout.services.insert(name.parse().ok()?, service);
            }
            ["endpoint", id, addr, "weight", weight] => endpoint(&mut kept.layout, id, (addr, weight), Admin::Ready)?,
            ["endpoint", id, addr, "weight", weight, drain] => {
                let since = drain.strip_prefix("drain@")?.parse().ok()?;
                endpoint(&mut kept.layout, id, (addr, weight), Admin::Drain(since))?;
            }
            ["route", host, path, service] => {
                let route = Route { host: host.parse().ok()?, path: path.parse().ok()? };
                kept.layout.routes.insert(route, service.parse().ok()?);
            }
            _ => certificates::read(&mut kept.layout.certificates, &words)?,
        }
    }
    Some(kept)
}

/// A file without these lines and what follows them, for people to read.
pub fn effective(file: &str) -> &str {
    first(file).map_or(file, |at| &file[..at])
}

/// Whether a text has a line that looks like one of these.
pub fn are_in(text: &str) -> bool {
    first(text).is_some()
}

fn first(text: &str) -> Option<usize> {
    let behind_a_line = || memmem::find(text.as_bytes(), format!("\n{MARK}").as_bytes());
    if text.starts_with(MARK) { Some(0) } else { behind_a_line().map(|at| at + 1) }
}

fn endpoint(layout: &mut Layout, id: &str, (addr, weight): (&str, &str), admin: Admin) -> Option<()> {
    let (service, endpoint) = id.split_once('/')?;
    let id = EndpointId { service: service.parse().ok()?, endpoint: endpoint.parse().ok()? };
    let addr: std::net::SocketAddr = addr.parse().ok()?;
    let weight: u32 = weight.parse().ok()?;
    let server = Server { addr: addr.try_into().ok()?, weight: Weight::try_from(weight).ok()?, admin };
    layout.services.get_mut(&id.service)?.servers.insert(id.endpoint, server);
    Some(())
}

fn read_protocol(word: &str) -> Option<Protocol> {
    [Protocol::Http, Protocol::Tcp].into_iter().find(|p| p.to_string() == word)
}

#[cfg(test)]
mod tests;
