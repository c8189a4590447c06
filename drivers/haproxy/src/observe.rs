//! What was read back: the answers of one HAProxy, and our files beside it, as a layout. It asks and reads;
//! it decides nothing.

mod assemble;
pub(crate) mod certificates;
mod clock;
mod note;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use backchat_contract::{
    Desired, DriverError, Endpoint, EndpointId, EndpointName, EndpointState, Idle, Policies, Service,
};
use backchat_template::SealOnce;

pub use assemble::assemble;
pub use clock::Clock;

use crate::{
    certificates::CertFile,
    layout::{Admin, BackendName, Layout, ServerId},
    maps::MapEntry,
    protocol::{self, Info, MapFile, Query, ServerName, ServerPath},
    socket::Session,
};

/// Whose HAProxy it is, and so which part of it we see and touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Ours: every backend that the services map names, all servers in it, and the maps.
    Managed {
        /// The map from host and path to backend.
        hosts: MapFile,
        /// The map from backend to service.
        services: MapFile,
    },
    /// Somebody else's: servers with our prefix, in backends named after a service. All else is invisible.
    Attached,
}

impl Flavour {
    /// The server of an endpoint.
    pub fn path(&self, backend: &BackendName, endpoint: &EndpointName) -> ServerPath {
        let server = match self {
            Self::Managed { .. } => ServerName::own(endpoint),
            Self::Attached => ServerName::attached(endpoint),
        };
        ServerPath { backend: backend.clone(), server }
    }

    /// The endpoint of a server; `None` where it is none of ours.
    fn endpoint(&self, server: &str) -> Option<EndpointName> {
        match self {
            Self::Managed { .. } => server.parse().ok(),
            Self::Attached => server.strip_prefix(ServerName::PREFIX)?.parse().ok(),
        }
    }
}

/// A server's place in the layout.
pub type Place = (BackendName, EndpointName);

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What HAProxy says of itself.
    pub info: Info,
    /// What it holds of ours.
    pub layout: Layout,
    /// The fingerprint of the structure it runs; `None` where it runs none of ours.
    pub structure: Option<String>,
    /// The live hosts map, sorted, foreign lines included.
    pub hosts: Vec<MapEntry>,
    /// The live services map, sorted, foreign lines included.
    pub services: Vec<MapEntry>,
    /// Servers of ours whose address is none that we could have given: to be made anew.
    pub broken: BTreeSet<Place>,
    /// The numbers that servers of others hold in a backend.
    pub foreign: BTreeMap<BackendName, BTreeSet<ServerId>>,
    /// Servers that drain or are in maintenance.
    pub leaving: BTreeMap<Place, Leaving>,
    /// Servers that are ready, and down as far as their check goes: since when, as far as we saw.
    pub down: BTreeMap<Place, Duration>,
    /// Of those that are down, the ones that came a moment ago, where we asked them.
    pub newcomers: BTreeMap<Place, Newcomer>,
    /// Servers of which HAProxy refused a command, again and again: for how long.
    pub denied: BTreeMap<ServerPath, Duration>,
    /// Our files; `None` where the HAProxy is somebody else's.
    pub files: Option<Files>,
    /// Workers that retire after a reload.
    pub old_workers: usize,
    /// Whether it has a list of certificates of ours: it listens for TLS.
    pub lists_certificates: bool,
}

/// How long what should serve is waited for: a newcomer that has not passed its first check, a server that HAProxy
/// refuses. After it, who should leave leaves, and HAProxy's own checks do the rest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// A server that was opened a moment ago, and has passed no check yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Whether it took a connection from us.
    pub listens: bool,
    /// How long ago it was opened.
    pub lasted: Duration,
}

/// A server that takes no new requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Its connections in use; `None` where HAProxy did not say.
    pub used: Option<u64>,
    /// For how long, as far as we saw.
    pub lasted: Duration,
}

/// Our files as they are on disk; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The configuration.
    pub config: String,
    /// The hosts map.
    pub hosts: String,
    /// The services map.
    pub services: String,
    /// The list of certificates; empty too where one of its files is not there.
    pub certificates: String,
    /// What the configuration's last line says of it.
    pub seal: SealOnce,
}

impl Files {
    /// Why the configuration at `path` must not be written over, and how it is all the same: somebody else wrote it.
    pub fn edited(&self, path: &Path) -> Option<String> {
        backchat_template::edited(path, &self.config, self.seal.of(&self.config))
    }
}

impl Observed {
    /// In the words of the desired set. What is in maintenance is on its way out, and not in it.
    pub fn live(&self, flavour: &Flavour) -> Desired {
        let mut desired = Desired::default();
        for backend in self.layout.backends.values() {
            let Some(service) = &backend.service else { continue };
            let endpoints: BTreeMap<_, _> = backend
                .servers
                .iter()
                .filter_map(|(endpoint, server)| {
                    let state = match server.admin {
                        Admin::Ready => EndpointState::Ready,
                        Admin::Drain => EndpointState::Drain,
                        Admin::Maint => return None,
                    };
                    Some((endpoint.clone(), Endpoint { addr: server.addr, weight: server.weight, state }))
                })
                .collect();
            // Somebody else's backend is a service of ours only by the servers that we put there.
            if *flavour != Flavour::Attached || !endpoints.is_empty() {
                desired.services.insert(service.clone(), Service { protocol: backend.protocol, endpoints });
            }
        }
        let service = |backend| self.layout.backends.get(backend).and_then(|b| b.service.clone());
        let routes = self.layout.routes.iter().filter_map(|(route, b)| Some((route.clone(), service(b)?)));
        desired.routes = routes.collect();
        desired.certificates.clone_from(&self.layout.certificates);
        desired
    }
}

impl Observed {
    /// Where clients stay by a cookie, what drains is in maintenance: a server in drain would keep its clients.
    pub(crate) fn sticky_drains(&mut self, policies: &Policies) {
        let sticky = |name: &BackendName| policies.get(name.service()).sticky.is_some();
        let backends = self.layout.backends.iter_mut().filter(|(name, _)| sticky(name));
        for server in backends.flat_map(|(_, backend)| backend.servers.values_mut()) {
            if server.admin == Admin::Maint {
                server.admin = Admin::Drain;
            }
        }
    }

    /// The endpoints that are ready, and down as far as HAProxy's check of them goes.
    pub fn failing(&self) -> BTreeSet<EndpointId> {
        let id = |(backend, endpoint): &Place| {
            let service = self.layout.backends.get(backend)?.service.clone()?;
            Some(EndpointId { service, endpoint: endpoint.clone() })
        };
        self.down.keys().filter_map(id).collect()
    }

    /// How many connections a server that leaves has in use, where HAProxy said.
    pub fn in_flight(&self, id: &EndpointId) -> Option<u64> {
        let (name, _) = self.layout.backends.iter().find(|(_, b)| b.service.as_ref() == Some(&id.service))?;
        self.leaving.get(&(name.clone(), id.endpoint.clone()))?.used
    }

    /// Whether a server has requests in flight. One that is not there has none; of one that takes requests nobody
    /// asked.
    pub fn idle(&self, id: &EndpointId) -> Idle {
        let mut serving = self.layout.backends.iter().filter(|(_, b)| b.service.as_ref() == Some(&id.service));
        let Some((name, backend)) = serving.next() else { return Idle::Yes };
        let place = (name.clone(), id.endpoint.clone());
        match self.leaving.get(&place).map(|leaving| leaving.used) {
            Some(Some(0)) => Idle::Yes,
            Some(Some(_)) => Idle::No,
            Some(None) => Idle::Unknown,
            None if backend.servers.contains_key(&id.endpoint) || self.broken.contains(&place) => Idle::Unknown,
            None => Idle::Yes,
        }
    }
}

/// The answers that an observation is made of, as they came.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// To [`Query::Info`].
    pub info: String,
    /// To [`Query::Backends`].
    pub backends: Arc<str>,
    /// To [`Query::Servers`].
    pub servers: String,
    /// To [`Query::Connections`]; empty where it was not asked.
    pub connections: String,
    /// To [`Query::Map`] of the hosts.
    pub hosts: String,
    /// To [`Query::Map`] of the services.
    pub services: String,
    /// To [`Query::Generation`].
    pub generation: String,
    /// To [`Query::Structure`].
    pub structure: String,
    /// To [`Query::CertList`].
    pub certificates: String,
    /// To [`Query::Cert`] of each that it names.
    pub held: BTreeMap<CertFile, String>,
}

/// Asks everything there is to know, but for the backends where they are known. `info` was asked before, to see that this is not a worker on its way out.
pub async fn ask(
    session: &mut Session,
    flavour: &Flavour,
    info: String,
    backends: Option<Arc<str>>,
) -> Result<Answers, DriverError> {
    let backends = match backends {
        Some(backends) => backends,
        None => session.ask(&Query::Backends).await?.into(),
    };
    let servers = session.ask(&Query::Servers).await?;
    let mut answers = Answers { info, backends, servers, ..Answers::default() };
    // With 10,000 servers it is the longest answer, and it matters only where something leaves.
    if protocol::servers(&answers.servers).is_some_and(|rows| rows.iter().any(|s| s.draining() || s.in_maintenance())) {
        answers.connections = session.ask(&Query::Connections).await?;
    }
    if let Flavour::Managed { hosts, services } = flavour {
        answers.hosts = session.ask(&Query::Map(hosts.clone())).await?;
        answers.services = session.ask(&Query::Map(services.clone())).await?;
        answers.generation = session.ask(&Query::Generation).await?;
        answers.structure = session.ask(&Query::Structure).await?;
        answers.certificates = session.ask(&Query::CertList).await?;
        for file in protocol::listed(&answers.certificates).unwrap_or_default() {
            let held = session.ask(&Query::Cert(file.clone())).await?;
            answers.held.insert(file, held);
        }
    }
    Ok(answers)
}
