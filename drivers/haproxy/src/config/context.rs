//! The values that a template sees: `backchat template show` documents them, custom templates use them.

use std::net::SocketAddr;

use backchat_contract::{EndpointName, Protocol};
use serde::Serialize;

use super::ConfigSettings;
use crate::{
    layout::{Admin, Backend, BackendName, Layout, Server, ServerId},
    paths::Paths,
};

/// Descriptors that HAProxy may use; it derives its connection limit from them.
const MAX_DESCRIPTORS: u32 = 200_000;

/// Everything a template may name.
#[derive(Serialize)]
pub(super) struct Context<'a> {
    generation: u64,
    structure: &'a str,
    paths: &'a Paths,
    max_descriptors: u32,
    hard_stop_seconds: u64,
    server_options: String,
    no_route_status: u16,
    listen: &'a [SocketAddr],
    stats_listen: Option<SocketAddr>,
    tcp_listen: Vec<TcpListenView>,
    http_backends: Vec<BackendView<'a>>,
    tcp_backends: Vec<BackendView<'a>>,
}

#[derive(Serialize)]
struct TcpListenView {
    addr: SocketAddr,
    /// `None` where the service is not there, or speaks HTTP.
    backend: Option<String>,
}

#[derive(Serialize)]
struct BackendView<'a> {
    name: &'a str,
    servers: Vec<ServerView<'a>>,
}

#[derive(Serialize)]
struct ServerView<'a> {
    name: &'a str,
    addr: SocketAddr,
    id: ServerId,
    weight: u16,
    disabled: bool,
}

impl<'a> Context<'a> {
    /// All of it.
    pub(super) fn new(settings: &'a ConfigSettings, layout: &'a Layout, structure: &'a str) -> Self {
        Self::with(settings, layout, layout.generation, structure, &servers)
    }

    /// What only a reload can change.
    pub(super) fn structure(settings: &'a ConfigSettings, layout: &'a Layout) -> Self {
        Self::with(settings, layout, 0, "", &|_| Vec::new())
    }

    fn with(
        settings: &'a ConfigSettings,
        layout: &'a Layout,
        generation: u64,
        structure: &'a str,
        servers: &dyn Fn(&'a Backend) -> Vec<ServerView<'a>>,
    ) -> Self {
        let of = |protocol| {
            let backends = layout.backends.iter().filter(move |(_, b)| b.protocol == protocol);
            backends.map(|(name, b)| BackendView { name: name.as_str(), servers: servers(b) }).collect()
        };
        Self {
            generation,
            structure,
            paths: &settings.paths,
            max_descriptors: MAX_DESCRIPTORS,
            hard_stop_seconds: settings.hard_stop.as_secs().max(1),
            server_options: settings.server_options.to_string(),
            no_route_status: settings.no_route_status,
            listen: &settings.listen,
            stats_listen: settings.stats_listen,
            tcp_listen: tcp_listen(settings, layout),
            http_backends: of(Protocol::Http),
            tcp_backends: of(Protocol::Tcp),
        }
    }
}

/// A listener whose service speaks HTTP gets no backend: HAProxy would refuse the whole file for it, and what
/// a service speaks is what members say.
fn tcp_listen(settings: &ConfigSettings, layout: &Layout) -> Vec<TcpListenView> {
    let view = |listen: &super::TcpListen| {
        let name = BackendName::from(&listen.service);
        let backend = layout.backends.get(&name).filter(|b| b.protocol == Protocol::Tcp);
        TcpListenView { addr: listen.addr, backend: backend.map(|_| name.to_string()) }
    };
    settings.tcp_listen.iter().map(view).collect()
}

fn servers(backend: &Backend) -> Vec<ServerView<'_>> {
    let stay = backend.servers.iter().filter(|(_, server)| server.admin != Admin::Maint);
    stay.map(|(name, server)| view(name, server)).collect()
}

fn view<'a>(name: &'a EndpointName, server: &Server) -> ServerView<'a> {
    ServerView {
        name: name.as_str(),
        addr: server.addr.get(),
        id: server.id,
        weight: server.weight.get(),
        disabled: server.admin == Admin::Drain,
    }
}
