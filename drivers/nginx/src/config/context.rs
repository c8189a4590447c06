//! The values that a template sees: custom templates use them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat_contract::{EndpointName, Protocol, ServiceName, TcpListen};
use backchat_template::{Cell, Generation, Rows};
use serde::Serialize;

use super::ConfigSettings;
use crate::{
    access::Access,
    certificates::{Site, names, sites},
    layout::{Layout, Server, Service},
    names::upstream,
    paths::Paths,
    policy::{Asked, Pool, Words, debug, place, pool, tcp_words, words},
    routes::{Routes, Table, escaped},
    version::Http2,
};

/// A connection takes some 500 bytes in each worker, used or not.
const MAX_CONNECTIONS: u64 = 16_384;

/// Everything a template may name.
#[derive(Serialize)]
pub(super) struct Context<'a> {
    /// Which rendering this is.
    generation: Generation,
    /// The hash that nginx says on its control socket.
    structure: &'a str,
    paths: &'a Paths,
    listen: &'a [SocketAddr],
    /// Modules to load.
    modules: &'a [PathBuf],
    /// Where TCP comes in.
    tcp_listen: Vec<TcpListenView>,
    /// Services that speak bytes alone and have a listener.
    tcp_services: Vec<ServiceView<'a>>,
    /// Where HTTPS comes in; none until there is a certificate.
    tls_listen: &'a [SocketAddr],
    /// Whether HTTP/2 is a parameter of `listen`, or else a directive.
    http2_by_listen: bool,
    /// Where HTTP/3 comes in, told to who asks over TLS; none where it was built without.
    http3_port: Option<u16>,
    /// The servers that there have to be.
    sites: Vec<Site>,
    /// Where bodies too long for memory are kept; none where nginx was built to keep them.
    temp: Option<&'a Path>,
    max_descriptors: u64,
    max_connections: u64,
    retire_seconds: u64,
    no_route_status: u16,
    no_server_status: u16,
    /// Whether all is answered as Hipache does.
    hipache: bool,
    /// The access log, where there is one.
    access: Option<Access<'a>>,
    /// Services that speak HTTP.
    services: Vec<ServiceView<'a>>,
    /// Which of its pools of servers a service's request goes to.
    pool: Pool,
    routes: Routes,
    hashes: Hashes,
}

/// Sizes of nginx's own tables.
#[derive(Serialize)]
struct Hashes {
    map_entries: usize,
    variables: usize,
    server_names: usize,
    bucket: usize,
}

#[derive(Serialize)]
struct TcpListenView {
    addr: SocketAddr,
    /// Its service's upstream; none where that has nobody, or speaks HTTP.
    upstream: Option<String>,
    /// Lines that say how its service is balanced; the last passes connections on.
    lines: Vec<String>,
}

#[derive(Serialize)]
struct ServiceView<'a> {
    name: &'a ServiceName,
    /// What nginx calls it: the name, upper-case letters told from lower-case ones.
    upstream: String,
    /// The same within a regular expression.
    pattern: String,
    /// Where its location is found; none where it speaks bytes alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// The size of its shared memory, in KiB.
    zone: usize,
    /// How it is balanced.
    policy: Words,
    /// Those that take requests; none where the service is to be answered 503.
    servers: Rows,
}

/// What a template sees of a server.
const SERVER: [&str; 3] = ["name", "addr", "weight"];

impl<'a> Context<'a> {
    /// All of it.
    pub(super) fn new(
        settings: &'a ConfigSettings,
        layout: &'a Layout,
        generation: Generation,
        structure: &'a str,
    ) -> Self {
        let routes =
            Routes::of(layout, if settings.is_include { Table::Theirs } else { Table::Ours }, settings.manners);
        let sites = if settings.is_include {
            Vec::new()
        } else {
            sites(
                &settings.listen,
                (&settings.tls_listen, settings.speaks.http3),
                &layout.certificates,
                &settings.paths.certificates,
            )
        };
        let http = layout.services.iter().filter(|(_, s)| s.protocol == Protocol::Http);
        let serves = |name: &ServiceName| {
            layout.services.get(name).is_some_and(|service| service.servers.values().any(Server::serves))
        };
        Self {
            generation,
            structure,
            paths: &settings.paths,
            listen: &settings.listen,
            modules: &settings.modules,
            tcp_listen: tcp_listen(settings, layout),
            tcp_services: tcp_services(settings, layout),
            tls_listen: if layout.certificates.is_empty() { &[] } else { &settings.tls_listen },
            http2_by_listen: settings.speaks.http2 == Http2::Listen,
            http3_port: sites.first().and_then(Site::http3_port),
            temp: settings.temp.as_deref(),
            max_descriptors: settings.max_descriptors,
            max_connections: settings.max_descriptors.min(MAX_CONNECTIONS),
            retire_seconds: settings.retire.as_secs().max(1),
            no_route_status: settings.no_route_status,
            no_server_status: settings.manners.no_server_status(),
            hipache: settings.manners.is_hipache(),
            services: http.map(|(name, service)| view(settings, name, service)).collect(),
            pool: pool(&settings.policies, serves),
            access: settings.access.as_ref().map(Access::new),
            hashes: Hashes::of(&routes, &sites),
            sites,
            routes,
        }
    }
}

impl Hashes {
    /// nginx tries sizes up to these until all fits; too small is a warning and a slow table, or no table at all.
    fn of(routes: &Routes, sites: &[Site]) -> Self {
        let entries = routes.hosts.len().max(routes.wildcards.len()).max(routes.named.len());
        let variables = routes.paths.len() + routes.shorter.len();
        // A host of 253 bytes, a pointer, a length, an end.
        Self {
            map_entries: table(entries),
            variables: table(variables),
            server_names: table(names(sites)),
            bucket: 512,
        }
    }
}

fn table(entries: usize) -> usize {
    (entries * 4).next_power_of_two().max(2048)
}

/// The service of a listener, where somebody of it takes connections.
fn listened<'a>(layout: &'a Layout, listen: &TcpListen) -> Option<(&'a ServiceName, &'a Service)> {
    let (name, service) = layout.services.get_key_value(&listen.service)?;
    let serves = service.protocol == Protocol::Tcp && service.servers.values().any(Server::serves);
    serves.then_some((name, service))
}

fn tcp_listen(settings: &ConfigSettings, layout: &Layout) -> Vec<TcpListenView> {
    let view = |listen: &TcpListen| {
        let upstream = listened(layout, listen).map(|(name, _)| upstream(name));
        let to = upstream.as_deref().unwrap_or_default();
        TcpListenView {
            addr: listen.addr,
            lines: tcp_words(&settings.policies, &listen.service, to).location,
            upstream,
        }
    };
    settings.tcp_listen.iter().map(view).collect()
}

fn tcp_services<'a>(settings: &ConfigSettings, layout: &'a Layout) -> Vec<ServiceView<'a>> {
    // A service may have several listeners.
    let services: BTreeMap<_, _> = settings.tcp_listen.iter().filter_map(|listen| listened(layout, listen)).collect();
    let view = |(name, service)| {
        let mut view = view(settings, name, service);
        view.policy = tcp_words(&settings.policies, name, &view.upstream);
        view
    };
    services.into_iter().map(view).collect()
}

fn view<'a>(settings: &ConfigSettings, name: &'a ServiceName, service: &'a Service) -> ServiceView<'a> {
    let serve = service.servers.iter().filter(|(_, server)| server.serves());
    let servers = Rows::new(&SERVER, serve.map(|(name, server)| row(name, server)));
    let upstream = upstream(name);
    let asked = Asked { https: settings.tls_listen.first().map(SocketAddr::port), manners: settings.manners };
    let mut policy = words(&settings.policies, name, &upstream, asked);
    if settings.manners.is_hipache() {
        debug::keep(&mut policy.location);
    }
    let location = (service.protocol == Protocol::Http).then(|| place(settings.policies.get(name), &upstream));
    ServiceView { name, pattern: escaped(&upstream), location, policy, upstream, zone: zone(servers.len()), servers }
}

fn row(name: &EndpointName, server: &Server) -> [Cell; 3] {
    let weight = Cell::Number(server.weight.get().into());
    [Cell::Text(name.shared()), Cell::Addr(server.addr.get()), weight]
}

/// Measured on 1.22: 64 KiB hold 63 servers, 128 hold 144, 1024 hold 1311; a long IPv6 address takes more. One that is
/// too small fails the check of the whole file.
fn zone(servers: usize) -> usize {
    64 * (1 + servers.div_ceil(40))
}
