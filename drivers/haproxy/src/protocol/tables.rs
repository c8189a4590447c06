//! The tables that HAProxy answers questions with, read by the names of their columns. A line that does not
//! read is left out; a table that is none is an error of the caller's.

use std::{collections::HashMap, net::IpAddr};

use crate::maps::MapEntry;

/// What `show info` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `2.6.12`: the part in front of a packager's `-1+deb12u4`.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whether this worker is on its way out: after a reload an open session still talks to the old one.
    pub stopping: bool,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRow {
    /// Its name.
    pub name: String,
    /// Whether it is `mode tcp`.
    pub tcp: bool,
}

/// A server as `show servers state` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRow {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// Where it listens; `None` for a socket of another kind.
    pub addr: Option<IpAddr>,
    /// The port; 0 where it has none.
    pub port: u16,
    /// The weight as set, 0 to 256.
    pub weight: u32,
    /// `srv_admin_state`: a set of flags.
    pub admin: u32,
    /// Whether it takes traffic as far as its check goes: `srv_op_state` is not 0.
    pub up: bool,
}

impl ServerRow {
    /// In maintenance, for whatever reason: by command, by a tracked server, by resolution. The flag 0x04 only
    /// remembers that the file said `disabled`, and stays when the server is ready.
    pub fn in_maintenance(&self) -> bool {
        self.admin & (0x01 | 0x02 | 0x20 | 0x40) != 0
    }

    /// Draining, by command or by a tracked server or an agent.
    pub fn draining(&self) -> bool {
        self.admin & (0x08 | 0x10) != 0
    }
}

/// Reads `show info`; `None` where it names no version.
pub fn info(reply: &str) -> Option<Info> {
    let fields: HashMap<&str, &str> = reply.lines().filter_map(|line| line.split_once(": ")).collect();
    Some(Info {
        version: fields.get("Version")?.split(['-', '+']).next()?.to_owned(),
        pid: fields.get("Pid")?.parse().ok()?,
        stopping: fields.get("Stopping").is_some_and(|s| *s != "0"),
    })
}

/// Reads `show stat` for backends; `None` where it is no such table.
pub fn backends(reply: &str) -> Option<Vec<BackendRow>> {
    let mut lines = reply.lines();
    let header = lines.next()?.strip_prefix("# ")?;
    let column = |name| header.split(',').position(|c| c == name);
    let (name, kind, mode) = (column("pxname")?, column("svname")?, column("mode")?);
    let row = |line: &str| {
        let fields = csv(line);
        (fields.get(kind)? == "BACKEND")
            .then(|| Some(BackendRow { name: fields.get(name)?.clone(), tcp: fields.get(mode)? == "tcp" }))
            .flatten()
    };
    Some(lines.filter_map(row).collect())
}

/// Reads `show servers state`; `None` where it is no such table.
pub fn servers(reply: &str) -> Option<Vec<ServerRow>> {
    let mut lines = reply.lines().skip_while(|line| !line.starts_with("# "));
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split_whitespace().collect();
    let column = |name| header.iter().position(|c| *c == name);
    let [backend, name, id, addr, port, weight, admin, op] = [
        column("be_name")?,
        column("srv_name")?,
        column("srv_id")?,
        column("srv_addr")?,
        column("srv_port")?,
        column("srv_uweight")?,
        column("srv_admin_state")?,
        column("srv_op_state")?,
    ];
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some(ServerRow {
            backend: (*fields.get(backend)?).to_owned(),
            name: (*fields.get(name)?).to_owned(),
            id: fields.get(id)?.parse().ok()?,
            addr: fields.get(addr)?.parse().ok(),
            port: fields.get(port)?.parse().ok()?,
            weight: fields.get(weight)?.parse().ok()?,
            admin: fields.get(admin)?.parse().ok()?,
            up: *fields.get(op)? != "0",
        })
    };
    Some(lines.filter_map(row).collect())
}

/// Reads `show servers conn`: the connections in use by `backend/server`. `None` where it is no such table.
pub fn connections(reply: &str) -> Option<HashMap<&str, u64>> {
    let mut lines = reply.lines();
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split_whitespace().collect();
    let used = header.iter().position(|c| *c == "used_cur")?;
    let row = |line: &'_ str| -> Option<(usize, u64)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        Some((fields.first()?.len(), fields.get(used)?.parse().ok()?))
    };
    Some(lines.filter_map(|line| row(line).and_then(|(end, used)| Some((line.get(..end)?, used)))).collect())
}

/// Reads `show map`: its lines without the address in front of each, in the order of HAProxy.
pub fn map(reply: &str) -> Vec<MapEntry> {
    let lines = reply.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(address, _)| address.starts_with("0x")).map(|(_, line)| MapEntry::read(line)).collect()
}

/// Reads `get var`: the value between the angle brackets, `None` where there is no such variable.
pub fn variable(reply: &str) -> Option<&str> {
    let (_, rest) = reply.split_once("value=<")?;
    rest.trim_end().strip_suffix('>')
}

/// One line of comma-separated values, a field in double quotes where it holds a comma.
pub(super) fn csv(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match (c, fields.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => fields.push(String::new()),
            (c, Some(field)) => field.push(c),
            (_, None) => {}
        }
    }
    fields
}
