//! From a document to services in newtypes. Everything that is wrong is found in one go, each with its place; where
//! anything is, nothing is taken. Pure.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use super::document::{Key, Node, Position, Value, Wrong};
use crate::model::{
    EndpointAddr, EndpointName, EndpointState, HostPattern, Listed, ListedEndpoint, NameError, PathPrefix, Place,
    Protocol, ServiceName, Weight,
    words::{nearest, quoted},
};

const ROOT: &[&str] = &["services"];
const SERVICE: &[&str] = &["hosts", "path", "protocol", "endpoints"];
const ENDPOINT: &[&str] = &["name", "addr", "weight", "drain"];

/// The services that the document lists, or all that is wrong with it, at least one.
pub(super) fn services(root: &Node) -> Result<BTreeMap<ServiceName, Arc<Listed>>, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let services = read(root, &mut wrong);
    if wrong.is_empty() { Ok(services) } else { Err(wrong) }
}

fn read(root: &Node, wrong: &mut Vec<Wrong>) -> BTreeMap<ServiceName, Arc<Listed>> {
    let mut services = BTreeMap::new();
    let Some(fields) = Fields::of(root, "the file", ROOT, wrong) else { return services };
    let Some((_, listed)) = fields.get("services") else {
        // An emptied file is what an editor or a full disk leaves: not to be taken for the word that nobody serves.
        fields.lacks(root.at, "no 'services' in it; a file that lists none says so: 'services = {}'".into(), wrong);
        return services;
    };
    let Value::Table(entries) = &listed.value else {
        wrong.push(kind(listed, "services", "a table, service by service"));
        return services;
    };
    for (key, node) in entries {
        let name = taken(key.at, service_name(&key.name), wrong);
        let listed = service(key, node, wrong);
        if let (Some(name), Some(listed)) = (name, listed) {
            services.insert(name, listed);
        }
    }
    services
}

fn service_name(text: &str) -> Result<ServiceName, String> {
    let name: ServiceName = text.parse().map_err(|e: NameError| e.to_string())?;
    if text.starts_with("bc-") {
        return Err(format!("{text:?} begins with bc-, which is backchat's own"));
    }
    Ok(name)
}

fn service(key: &Key, node: &Node, wrong: &mut Vec<Wrong>) -> Option<Arc<Listed>> {
    let what = format!("service {}", key.name);
    let fields = Fields::of(node, &what, SERVICE, wrong)?;
    let protocol = fields.text("protocol", wrong).and_then(|(at, text)| taken(at, protocol(text), wrong));
    let path = fields.text("path", wrong).and_then(|(at, text)| taken(at, parsed::<PathPrefix>(text), wrong));
    Some(Arc::new(Listed {
        place: Place::Line(key.at.line),
        hosts: hosts(&fields, wrong),
        path: path.or_else(|| "/".parse().ok())?,
        protocol: protocol.unwrap_or_default(),
        endpoints: endpoints(&what, &fields, wrong),
    }))
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "http" => Ok(Protocol::Http),
        "tcp" => Ok(Protocol::Tcp),
        other => Err(format!("{} is no protocol: use http or tcp", quoted(other, 40))),
    }
}

fn hosts(fields: &Fields<'_>, wrong: &mut Vec<Wrong>) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for node in fields.list("hosts", wrong) {
        match &node.value {
            Value::Text(text) => hosts.extend(taken(node.at, parsed(text), wrong)),
            _ => wrong.push(kind(node, "a host", "a text in quotes")),
        }
    }
    hosts
}

/// Within a service a name and an address each stand once: which of two lines is meant, nobody can tell.
fn endpoints(what: &str, fields: &Fields<'_>, wrong: &mut Vec<Wrong>) -> BTreeMap<EndpointName, ListedEndpoint> {
    let mut endpoints = BTreeMap::new();
    let mut addrs: BTreeMap<EndpointAddr, (EndpointName, usize)> = BTreeMap::new();
    let mut lines: BTreeMap<EndpointName, usize> = BTreeMap::new();
    for node in fields.list("endpoints", wrong) {
        let Some((name, endpoint)) = endpoint(what, node, wrong) else { continue };
        if let Some((other, line)) = addrs.get(&endpoint.addr) {
            let why = format!("{} is the address of {other} too, in line {line}", endpoint.addr);
            wrong.push(Wrong::new(node.at, why));
        }
        addrs.insert(endpoint.addr, (name.clone(), node.at.line));
        endpoints.insert(name.clone(), endpoint);
        if let Some(line) = lines.insert(name.clone(), node.at.line) {
            let why = format!("{what} has an endpoint {name} already, in line {line}");
            wrong.push(Wrong::new(node.at, why));
        }
    }
    endpoints
}

fn endpoint(service: &str, node: &Node, wrong: &mut Vec<Wrong>) -> Option<(EndpointName, ListedEndpoint)> {
    let what = format!("an endpoint of {service}");
    let fields = Fields::of(node, &what, ENDPOINT, wrong)?;
    let name = fields.needed("name", wrong).and_then(|(at, text)| taken(at, parsed::<EndpointName>(text), wrong));
    let addr = fields.needed("addr", wrong).and_then(|(at, text)| taken(at, addr(text), wrong));
    let weight = fields.weight(wrong);
    let drains = fields.flag("drain", wrong);
    let state = if drains { EndpointState::Drain } else { EndpointState::Ready };
    Some((name?, ListedEndpoint { place: Place::Line(node.at.line), addr: addr?, weight, state }))
}

fn addr(text: &str) -> Result<EndpointAddr, String> {
    let addr: SocketAddr = text.parse().map_err(|_| {
        format!("{} is no address: use IP:PORT, like 10.0.0.7:8080 or [2001:db8::7]:8080", quoted(text, 80))
    })?;
    EndpointAddr::try_from(addr).map_err(|e| e.to_string())
}

fn parsed<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: NameError| e.to_string())
}

fn taken<T>(at: Position, value: Result<T, String>, wrong: &mut Vec<Wrong>) -> Option<T> {
    value.map_err(|why| wrong.push(Wrong::new(at, why))).ok()
}

fn kind(node: &Node, what: &str, expected: &str) -> Wrong {
    Wrong::new(node.at, format!("{what} is {expected}, not {}", node.value.kind()))
}

/// The fields of a table whose keys are all known.
struct Fields<'a> {
    what: &'a str,
    at: Position,
    entries: &'a [(Key, Node)],
    /// Whether there is a key that is not known: what seems to be missing is probably that.
    strange: bool,
}

impl<'a> Fields<'a> {
    fn of(node: &'a Node, what: &'a str, known: &[&'static str], wrong: &mut Vec<Wrong>) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            wrong.push(kind(node, what, "a table"));
            return None;
        };
        let before = wrong.len();
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            let remedy = nearest(&key.name, known.iter().copied())
                .map_or_else(|| format!("the keys are {}", known.join(", ")), |near| format!("did you mean '{near}'?"));
            wrong.push(Wrong::new(key.at, format!("unknown key '{:.64}' of {what}; {remedy}", key.name)));
        }
        Some(Self { what, at: node.at, entries, strange: wrong.len() > before })
    }

    fn lacks(&self, at: Position, why: String, wrong: &mut Vec<Wrong>) {
        if !self.strange {
            wrong.push(Wrong::new(at, why));
        }
    }

    fn get(&self, name: &str) -> Option<(&'a Key, &'a Node)> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }

    fn text(&self, name: &str, wrong: &mut Vec<Wrong>) -> Option<(Position, &'a str)> {
        let (_, node) = self.get(name)?;
        let Value::Text(text) = &node.value else {
            wrong.push(kind(node, name, "a text in quotes"));
            return None;
        };
        Some((node.at, text))
    }

    fn needed(&self, name: &str, wrong: &mut Vec<Wrong>) -> Option<(Position, &'a str)> {
        if self.get(name).is_none() {
            self.lacks(self.at, format!("{} needs '{name}'", self.what), wrong);
        }
        self.text(name, wrong)
    }

    fn list(&self, name: &str, wrong: &mut Vec<Wrong>) -> &'a [Node] {
        match self.get(name) {
            None => &[],
            Some((_, Node { value: Value::List(list), .. })) => list,
            Some((_, node)) => {
                wrong.push(kind(node, name, "a list"));
                &[]
            }
        }
    }

    fn weight(&self, wrong: &mut Vec<Wrong>) -> Weight {
        let Some((_, node)) = self.get("weight") else { return Weight::DEFAULT };
        let Value::Number(number) = node.value else {
            wrong.push(kind(node, "weight", "a number from 0 to 256"));
            return Weight::DEFAULT;
        };
        let weight = u32::try_from(number).map_err(|_| format!("{number} is no weight: use 0 to 256"));
        let weight = weight.and_then(|number| Weight::try_from(number).map_err(|e| e.to_string()));
        taken(node.at, weight, wrong).unwrap_or(Weight::DEFAULT)
    }

    fn flag(&self, name: &str, wrong: &mut Vec<Wrong>) -> bool {
        match self.get(name) {
            None => false,
            Some((_, Node { value: Value::Bool(value), .. })) => *value,
            Some((_, node)) => {
                wrong.push(kind(node, name, "true or false"));
                false
            }
        }
    }
}
