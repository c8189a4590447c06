//! The values that a template sees: custom templates use them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat_nginx::{
    access::Access,
    certificates::{Site, names, sites},
    paths::Paths,
    policy::Asked,
    version::Http2,
};
use serde::Serialize;

use super::ConfigSettings;
use crate::policy::{View, view};

/// A connection takes some 500 bytes in each worker, used or not.
const MAX_CONNECTIONS: u64 = 16_384;

/// Shared memory for the counters of what is in flight, in KiB: one of some 130 bytes for each server that a worker has
/// requests with. It costs what is used.
const FLIGHT: u64 = 8 * 1024;

/// Connections to servers that each worker keeps.
const KEEPALIVE: u16 = 128;

/// The upstream whose servers the Lua chooses.
const UPSTREAM: &str = "backchat";

/// Everything a template may name.
#[derive(Serialize)]
pub(super) struct Context<'a> {
    /// Which rendering this is.
    generation: u64,
    /// The hash that nginx says on its control socket.
    structure: &'a str,
    /// The Lua that routes and balances.
    balancer: &'a str,
    paths: &'a Paths,
    listen: &'a [SocketAddr],
    /// How services are balanced.
    policy: View,
    /// Where HTTPS comes in; none until there is a certificate.
    tls_listen: &'a [SocketAddr],
    /// Whether HTTP/2 is a parameter of `listen`, or else a directive.
    http2_by_listen: bool,
    /// Where HTTP/3 comes in, told to who asks over TLS; none where it was built without.
    http3_port: Option<u16>,
    /// The servers that there have to be.
    sites: Vec<Site>,
    /// Room for their names in nginx's table.
    server_names: usize,
    /// Modules to load; none where Lua is built in.
    modules: &'a [PathBuf],
    /// A number, or `auto`.
    workers: String,
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
    /// Connections to servers that each worker keeps.
    keepalive: u16,
    dicts: Dicts,
}

/// Shared memory, in KiB.
#[derive(Serialize)]
struct Dicts {
    table: u64,
    flight: u64,
}

impl<'a> Context<'a> {
    /// All of it.
    pub(super) fn new(settings: &'a ConfigSettings, room: u64, generation: u64, structure: &'a str) -> Self {
        let sites = if settings.is_include {
            Vec::new()
        } else {
            sites(
                &settings.listen,
                (&settings.tls_listen, settings.speaks.http3),
                &settings.certificates,
                &settings.paths.certificates,
            )
        };
        let asked = Asked { https: settings.tls_listen.first().map(SocketAddr::port), manners: settings.manners };
        Self {
            generation,
            structure,
            balancer: settings.balancer.trim_end(),
            paths: &settings.paths,
            listen: &settings.listen,
            policy: view(&settings.policies, UPSTREAM, asked),
            tls_listen: if settings.certificates.is_empty() { &[] } else { &settings.tls_listen },
            http2_by_listen: settings.speaks.http2 == Http2::Listen,
            http3_port: sites.first().and_then(Site::http3_port),
            server_names: (names(&sites) * 4).next_power_of_two().max(2048),
            sites,
            modules: &settings.modules,
            workers: settings.workers.map_or_else(|| "auto".into(), |workers| workers.to_string()),
            temp: settings.temp.as_deref(),
            max_descriptors: settings.max_descriptors,
            max_connections: settings.max_descriptors.min(MAX_CONNECTIONS),
            retire_seconds: settings.retire.as_secs().max(1),
            no_route_status: settings.no_route_status,
            no_server_status: settings.manners.no_server_status(),
            hipache: settings.manners.is_hipache(),
            access: settings.access.as_ref().map(Access::new),
            keepalive: KEEPALIVE,
            dicts: Dicts { table: room, flight: FLIGHT },
        }
    }
}
