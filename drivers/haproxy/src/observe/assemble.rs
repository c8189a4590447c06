//! Puts the answers of one HAProxy together to an observation. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
};

use backchat_contract::{DriverError, EndpointAddr, Protocol, ServiceName, Weight};

use super::{Answers, Files, Flavour, Leaving, Observed, certificates};
use crate::{
    layout::{Admin, Backend, BackendName, Server, ServerId},
    maps::{self, MapEntry},
    protocol::{self, BackendRow, Query, ServerRow},
};

/// Reads the answers. `files` are ours on disk, `None` where the HAProxy is somebody else's. Times are zero:
/// [`Clock`](super::Clock) fills them in.
pub fn assemble(answers: &Answers, flavour: &Flavour, files: Option<Files>) -> Result<Observed, DriverError> {
    let read = |query: &Query, reply: &str| DriverError::Refused {
        command: query.to_string(),
        reply: reply.trim().chars().take(200).collect(),
    };
    let info = protocol::info(&answers.info).ok_or_else(|| read(&Query::Info, &answers.info))?;
    let backends = protocol::backends(&answers.backends).ok_or_else(|| read(&Query::Backends, &answers.backends))?;
    let servers = protocol::servers(&answers.servers).ok_or_else(|| read(&Query::Servers, &answers.servers))?;
    let used = protocol::connections(&answers.connections).unwrap_or_default();
    let mut observed = Observed {
        info,
        structure: protocol::variable(&answers.structure).map(ToOwned::to_owned),
        hosts: sorted(protocol::map(&answers.hosts)),
        services: sorted(protocol::map(&answers.services)),
        ..Observed::default()
    };
    let loaded = || protocol::variable(&answers.generation)?.parse().ok();
    observed.layout.generation = maps::generation(&observed.services).or_else(loaded).unwrap_or(0);
    observed.layout.backends = match flavour {
        Flavour::Managed { .. } => ours(&backends, &observed.services, files.as_ref()),
        Flavour::Attached => named_after_services(&backends),
    };
    observed.layout.routes = observed.hosts.iter().filter_map(MapEntry::as_route).collect();
    observed.layout.certificates = certificates::live(answers, files.as_ref(), None);
    observed.lists_certificates = protocol::listed(&answers.certificates).is_some();
    observed.files = files;
    for row in &servers {
        place(&mut observed, flavour, &used, row);
    }
    Ok(observed)
}

fn sorted(mut entries: Vec<MapEntry>) -> Vec<MapEntry> {
    entries.sort();
    entries
}

fn backend(row: &BackendRow, service: Option<ServiceName>) -> Backend {
    let protocol = if row.tcp { Protocol::Tcp } else { Protocol::Http };
    Backend { service, protocol, servers: BTreeMap::new() }
}

/// The backends that the services map names, and the spares. Where the live map lost a line, the file still has
/// it. The template's own backends are in neither, and invisible. Of two backends that say the same service the
/// first has it.
fn ours(rows: &[BackendRow], map: &[MapEntry], files: Option<&Files>) -> BTreeMap<BackendName, Backend> {
    let on_disk = files.map(|f| f.services.as_str()).unwrap_or_default().lines().map(MapEntry::read);
    let mut said: BTreeMap<BackendName, Option<ServiceName>> = on_disk.filter_map(|e| e.as_service()).collect();
    said.extend(map.iter().filter_map(MapEntry::as_service));
    let mut taken = BTreeSet::new();
    let mut backends = BTreeMap::new();
    for row in rows {
        let Some(name) = BackendName::read(&row.name) else { continue };
        let Some(service) = said.get(&name).cloned().or(name.is_spare().then_some(None)) else { continue };
        let service = service.filter(|service| taken.insert(service.clone()));
        backends.insert(name, backend(row, service));
    }
    backends
}

fn named_after_services(rows: &[BackendRow]) -> BTreeMap<BackendName, Backend> {
    let named = rows.iter().filter_map(|row| {
        let service: ServiceName = row.name.parse().ok()?;
        Some((BackendName::from(&service), backend(row, Some(service))))
    });
    named.collect()
}

fn place(observed: &mut Observed, flavour: &Flavour, used: &HashMap<&str, u64>, row: &ServerRow) {
    let Some(name) = BackendName::read(&row.backend) else { return };
    let Some(backend) = observed.layout.backends.get_mut(&name) else { return };
    let id = ServerId::read(row.id);
    let (Some(endpoint), Some(id)) = (flavour.endpoint(&row.name), id) else {
        observed.foreign.entry(name).or_default().extend(id);
        return;
    };
    let place = (name, endpoint.clone());
    let addr = row.addr.and_then(|ip| EndpointAddr::try_from(SocketAddr::new(ip, row.port)).ok());
    let admin = admin(row);
    if admin != Admin::Ready {
        let used = used.get(format!("{}/{}", row.backend, row.name).as_str()).copied();
        observed.leaving.insert(place.clone(), Leaving { used, ..Leaving::default() });
    } else if !row.up {
        observed.down.insert(place.clone(), std::time::Duration::ZERO);
    }
    let weight = Weight::try_from(row.weight).unwrap_or(Weight::DEFAULT);
    if let Some(addr) = addr {
        backend.servers.insert(endpoint, Server { id, addr, weight, admin });
    } else {
        observed.foreign.entry(place.0.clone()).or_default().insert(id);
        observed.broken.insert(place);
    }
}

fn admin(row: &ServerRow) -> Admin {
    match (row.in_maintenance(), row.draining()) {
        (true, _) => Admin::Maint,
        (false, true) => Admin::Drain,
        (false, false) => Admin::Ready,
    }
}
