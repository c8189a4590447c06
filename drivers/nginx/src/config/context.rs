//! The values that a template sees: custom templates use them.

use std::{net::SocketAddr, path::Path};

use backchat_contract::{EndpointName, Protocol, ServiceName};
use backchat_template::{Cell, Generation, Rows};
use serde::Serialize;

use super::ConfigSettings;
use crate::{
    certificates::{Site, names, sites},
    layout::{Layout, Server, Service},
    names::upstream,
    paths::Paths,
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
    /// Where HTTPS comes in; none until there is a certificate.
    tls_listen: &'a [SocketAddr],
    /// Whether HTTP/2 is a parameter of `listen`, or else a directive.
    http2_by_listen: bool,
    /// The servers that there have to be.
    sites: Vec<Site>,
    /// Where bodies too long for memory are kept; none where nginx was built to keep them.
    temp: Option<&'a Path>,
    max_descriptors: u64,
    max_connections: u64,
    retire_seconds: u64,
    no_route_status: u16,
    /// Services that speak HTTP.
    services: Vec<ServiceView<'a>>,
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
struct ServiceView<'a> {
    name: &'a ServiceName,
    /// What nginx calls it: the name, upper-case letters told from lower-case ones.
    upstream: String,
    /// The same within a regular expression.
    pattern: String,
    /// The size of its shared memory, in KiB.
    zone: usize,
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
        let routes = Routes::of(layout, if settings.is_include { Table::Theirs } else { Table::Ours });
        let sites = if settings.is_include {
            Vec::new()
        } else {
            sites(&settings.listen, &settings.tls_listen, &layout.certificates, &settings.paths.certificates)
        };
        let http = layout.services.iter().filter(|(_, s)| s.protocol == Protocol::Http);
        Self {
            generation,
            structure,
            paths: &settings.paths,
            listen: &settings.listen,
            tls_listen: if layout.certificates.is_empty() { &[] } else { &settings.tls_listen },
            http2_by_listen: settings.http2 == Http2::Listen,
            temp: settings.temp.as_deref(),
            max_descriptors: settings.max_descriptors,
            max_connections: settings.max_descriptors.min(MAX_CONNECTIONS),
            retire_seconds: settings.retire.as_secs().max(1),
            no_route_status: settings.no_route_status,
            services: http.map(|(name, service)| view(name, service)).collect(),
            hashes: Hashes::of(&routes, &sites),
            sites,
            routes,
        }
    }
}

impl Hashes {
    /// nginx tries sizes up to these until all fits; too small is a warning and a slow table, or no table at all.
    fn of(routes: &Routes, sites: &[Site]) -> Self {
        let entries = routes.hosts.len().max(routes.wildcards.len());
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

fn view<'a>(name: &'a ServiceName, service: &'a Service) -> ServiceView<'a> {
    let serve = service.servers.iter().filter(|(_, server)| server.serves());
    let servers = Rows::new(&SERVER, serve.map(|(name, server)| row(name, server)));
    let upstream = upstream(name);
    ServiceView { name, pattern: escaped(&upstream), upstream, zone: zone(servers.len()), servers }
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
