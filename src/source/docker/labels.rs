//! From containers and their labels to services. Pure and total: what cannot be taken is a rejection that names the
//! container and the label, and leaves all others alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::model::{
    EndpointAddr, EndpointName, EndpointState, HostPattern, Listed, ListedEndpoint, PathPrefix, Place, Protocol,
    Rejection, ServiceName, Snapshot, SourceName, Weight,
    words::{escaped, quoted},
};

/// What our labels begin with.
const OURS: &str = "backchat.";
/// The keys that a service has.
const KEYS: &[&str] = &["port", "host", "path", "weight", "protocol"];
/// The longest value of a label, in bytes.
const VALUE_MAX: usize = 4096;
/// The most containers that are taken.
const CONTAINERS_MAX: usize = 10_000;

/// A container that runs.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Its addresses by the names of its networks.
    pub(super) addresses: BTreeMap<String, IpAddr>,
    pub(super) health: Health,
    /// Whether it was told to stop.
    pub(super) is_stopping: bool,
}

/// Whether it may serve, by what the engine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Its HEALTHCHECK is passed, or there is none.
    Good,
    /// Its HEALTHCHECK has not passed yet.
    Starting,
    /// Its HEALTHCHECK fails.
    Unhealthy,
    /// It is frozen.
    Paused,
}

/// What the source knows by these containers.
pub(super) fn snapshot(source: &SourceName, mut containers: Vec<Container>) -> Snapshot {
    containers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut draft = Draft { source, services: BTreeMap::new(), refused: Vec::new() };
    let mut ours = containers.iter().filter(|one| one.labels.keys().any(|label| label.starts_with(OURS)));
    ours.by_ref().take(CONTAINERS_MAX).for_each(|one| draft.container(one));
    if let Some(first) = ours.next() {
        draft.refuse(first, "", "bounds", format!("more than {CONTAINERS_MAX} containers: it and those behind it"));
    }
    let services = draft.services.into_iter().map(|(name, listed)| (name, Arc::new(listed))).collect();
    Snapshot { source: source.clone(), synced: true, services, refused: draft.refused, ..Snapshot::default() }
}

struct Draft<'a> {
    source: &'a SourceName,
    services: BTreeMap<ServiceName, Listed>,
    refused: Vec<Rejection>,
}

/// What labels say of one service.
struct Said {
    port: u16,
    hosts: Vec<HostPattern>,
    path: PathPrefix,
    weight: Weight,
    protocol: Protocol,
}

impl Draft<'_> {
    fn container(&mut self, one: &Container) {
        let mut said: BTreeMap<&str, BTreeMap<&str, (&str, &str)>> = BTreeMap::new();
        for (label, value) in &one.labels {
            let Some(rest) = label.strip_prefix(OURS) else { continue };
            let (service, key) = match rest.strip_prefix("services.") {
                Some(rest) => rest.rsplit_once('.').unwrap_or((rest, "")),
                None => ("", rest),
            };
            if service.is_empty() && key == "service" {
                continue;
            }
            if KEYS.contains(&key) && value.len() <= VALUE_MAX {
                said.entry(service).or_default().insert(key, (label, value));
            } else {
                let why = if KEYS.contains(&key) {
                    "it is too long"
                } else {
                    "unknown: use port, host, path, weight or protocol"
                };
                self.refuse(one, label, "name", why.to_owned());
            }
        }
        let several = said.len() > 1;
        for (service, keys) in said {
            if let Err((label, code, why)) = self.service(one, service, &keys, several) {
                self.refuse(one, &label, code, why);
            }
        }
    }

    fn service(
        &mut self,
        one: &Container,
        service: &str,
        keys: &BTreeMap<&str, (&str, &str)>,
        several: bool,
    ) -> Result<(), (String, &'static str, String)> {
        let label = |key: &str| keys.get(key).map_or_else(|| format!("{OURS}{key}"), |(label, _)| (*label).to_owned());
        let service = if service.is_empty() { single(one) } else { service };
        let name: ServiceName = service.parse().map_err(|e| (label("port"), "name", format!("{e}")))?;
        if service.starts_with("bc-") || service.starts_with(crate::model::FRONTEND) {
            return Err((label("port"), "name", format!("{service:?} begins with what is backchat's own")));
        }
        let said = read(keys).map_err(|(key, why)| (label(key), key_code(key), why))?;
        let place = Place::Key(format!("container {}", one.name).into());
        let listed = self.services.entry(name).or_insert_with(|| Listed {
            place: place.clone(),
            hosts: Vec::new(),
            path: said.path.clone(),
            protocol: said.protocol,
            endpoints: BTreeMap::new(),
        });
        if listed.protocol != said.protocol || listed.path != said.path {
            let why = format!("another container of {service} says another protocol or path");
            return Err((label("path"), "conflict", why));
        }
        let known: BTreeSet<_> = listed.hosts.drain(..).chain(said.hosts).collect();
        listed.hosts.extend(known);
        let why = match one.health {
            _ if one.is_stopping => None,
            Health::Good => None,
            Health::Starting => Some("its HEALTHCHECK has not passed yet"),
            Health::Unhealthy => Some("its HEALTHCHECK fails"),
            Health::Paused => Some("it is paused"),
        };
        if let Some(why) = why {
            return Err((label("port"), "health", why.to_owned()));
        }
        let Some(ip) = one.addresses.values().next() else {
            return Err((label("port"), "address", "it has no address in any network".into()));
        };
        let addr = EndpointAddr::try_from(SocketAddr::new(*ip, said.port));
        let addr = addr.map_err(|e| (label("port"), "address", e.to_string()))?;
        let state = if one.is_stopping { EndpointState::Drain } else { EndpointState::Ready };
        let endpoint = ListedEndpoint { place, addr, weight: said.weight, state };
        listed.endpoints.insert(endpoint_name(one, several.then_some(said.port)), endpoint);
        Ok(())
    }

    fn refuse(&mut self, one: &Container, label: &str, code: &'static str, why: String) {
        let subject = escaped(format!("container {} {label}", one.name).trim_end(), 200);
        self.refused.push(Rejection { node: self.source.to_string(), subject, service: None, why, code });
    }
}

/// The service of a container that names none: what it says, else what Compose calls it, else its own name.
fn single(one: &Container) -> &str {
    let said = ["backchat.service", "com.docker.compose.service"].into_iter().find_map(|label| one.labels.get(label));
    said.unwrap_or(&one.name)
}

fn read(keys: &BTreeMap<&str, (&str, &str)>) -> Result<Said, (&'static str, String)> {
    let text = |key: &str| keys.get(key).map(|(_, value)| value.trim());
    let port = text("port").ok_or(("port", "it says no port".to_owned()))?;
    let port = port.parse().ok().filter(|port| *port > 0);
    let hosts = text("host").unwrap_or_default().split(',').map(str::trim).filter(|host| !host.is_empty());
    let hosts = hosts.map(|host| host.parse::<HostPattern>().map_err(|e| ("host", e.to_string())));
    let weight = text("weight").map_or(Ok(Weight::DEFAULT), |text| {
        let number = text.parse::<u32>().map_err(|_| format!("{} is no weight: use 0 to 256", quoted(text, 40)))?;
        Weight::try_from(number).map_err(|e| e.to_string())
    });
    Ok(Said {
        port: port.ok_or_else(|| ("port", format!("{} is no port", quoted(text("port").unwrap_or_default(), 40))))?,
        hosts: hosts.collect::<Result<_, _>>()?,
        path: text("path").unwrap_or("/").parse().map_err(|e: crate::model::NameError| ("path", e.to_string()))?,
        weight: weight.map_err(|why| ("weight", why))?,
        protocol: match text("protocol").unwrap_or("http") {
            "http" => Protocol::Http,
            "tcp" => Protocol::Tcp,
            other => return Err(("protocol", format!("{} is no protocol: use http or tcp", quoted(other, 40)))),
        },
    })
}

fn key_code(key: &str) -> &'static str {
    KEYS.iter().copied().find(|known| *known == key).unwrap_or("name")
}

/// What an endpoint is called: as its container, or by the beginning of its id where that is too long.
fn endpoint_name(one: &Container, port: Option<u16>) -> EndpointName {
    let more = port.map(|port| format!(":{port}")).unwrap_or_default();
    let short: String = one.id.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    let named = format!("{}{more}", one.name).parse().or_else(|_| format!("c{short}{more}").parse());
    named.expect("hexadecimal digits, a colon and a port are an endpoint's name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(labels: &[&str]) -> Container {
        let pair =
            |text: &&str| text.split_once('=').map(|(label, value)| (label.to_owned(), value.to_owned())).unwrap();
        Container {
            id: "0123456789abcdef".into(),
            name: "web1".into(),
            labels: labels.iter().map(pair).collect(),
            addresses: [("bridge".to_owned(), [172, 17, 0, 2].into())].into(),
            health: Health::Good,
            is_stopping: false,
        }
    }

    fn lines(containers: Vec<Container>) -> Vec<String> {
        let snapshot = snapshot(&"docker".into(), containers);
        let services = snapshot.services.iter().map(|(name, listed)| {
            let hosts: Vec<_> = listed.hosts.iter().map(ToString::to_string).collect();
            let each =
                |(name, e): (&EndpointName, &ListedEndpoint)| format!(" {name}={} {} {}", e.addr, e.weight, e.state);
            let endpoints: String = listed.endpoints.iter().map(each).collect();
            format!("{name} {}{}{endpoints}", hosts.join(","), listed.path)
        });
        let refused = snapshot.refused.iter().map(|r| format!("! {}: {}", r.subject, r.why));
        services.chain(refused).collect()
    }

    #[test]
    fn labels() {
        let check =
            |labels: &[&str], expected: &[&str]| assert_eq!(lines(vec![container(labels)]), expected, "{labels:?}");
        check(&["other=1"], &[]);
        check(&["backchat.port=80"], &["web1 / web1=172.17.0.2:80 100 ready"]);
        check(
            &["backchat.port=80", "com.docker.compose.service=shop", "backchat.host=a.example, *.b.example"],
            &["shop a.example,*.b.example/ web1=172.17.0.2:80 100 ready"],
        );
        check(
            &["backchat.services.a.port=80", "backchat.services.b.port=81", "backchat.services.b.weight=7"],
            &["a / web1:80=172.17.0.2:80 100 ready", "b / web1:81=172.17.0.2:81 7 ready"],
        );
        check(&["backchat.port=x"], &["! container web1 backchat.port: \"x\" is no port"]);
        check(&["backchat.host=a.example"], &["! container web1 backchat.port: it says no port"]);
        check(
            &["backchat.port=80", "backchat.prot=tcp"],
            &[
                "web1 / web1=172.17.0.2:80 100 ready",
                "! container web1 backchat.prot: unknown: use port, host, path, weight or protocol",
            ],
        );
    }

    #[test]
    fn health() {
        let check = |health, is_stopping, expected: &[&str]| {
            let one = Container { health, is_stopping, ..container(&["backchat.port=80"]) };
            assert_eq!(lines(vec![one]), expected);
        };
        check(Health::Good, true, &["web1 / web1=172.17.0.2:80 100 drain"]);
        check(Health::Unhealthy, true, &["web1 / web1=172.17.0.2:80 100 drain"]);
        check(Health::Unhealthy, false, &["web1 /", "! container web1 backchat.port: its HEALTHCHECK fails"]);
        check(Health::Paused, false, &["web1 /", "! container web1 backchat.port: it is paused"]);
    }
}
