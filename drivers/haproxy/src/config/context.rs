//! The values that a template sees. `templates/README.md` documents each: a test compares.

use std::{net::SocketAddr, sync::Arc};

use backchat_contract::{EndpointName, Protocol, ServicePolicy, TcpListen};
use backchat_template::{Cell, Generation, Rows};
use serde::Serialize;

use super::{ConfigSettings, access::Access};
use crate::{
    certificates::LIST,
    layout::{Admin, Backend, BackendName, Layout, Server, ServerId},
    options::ServerOptions,
    paths::Paths,
    policy,
    quic::Quic,
};

/// Descriptors that HAProxy may use; it derives its connection limit from them.
const MAX_DESCRIPTORS: u32 = 200_000;

/// Everything a template may name.
#[derive(Serialize)]
pub(super) struct Context<'a> {
    generation: Generation,
    structure: &'a str,
    paths: &'a Paths,
    max_descriptors: u32,
    hard_stop_seconds: u64,
    server_options: String,
    /// What servers are told that speak bytes alone.
    tcp_server_options: String,
    access: Option<Access>,
    no_route_status: u16,
    no_server_status: u16,
    /// Whether all is answered as Hipache does.
    hipache: bool,
    listen: &'a [SocketAddr],
    canaries: Vec<String>,
    /// None until there is a certificate: HAProxy would not start.
    tls_listen: &'a [SocketAddr],
    /// The same for QUIC; none where this HAProxy has none.
    quic_listen: Vec<String>,
    limited_quic: bool,
    certificate_list: &'static str,
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
    /// How its service is balanced, where that is not as all are.
    policy: Vec<String>,
    servers: Rows,
}

/// What a template sees of a server.
const SERVER: [&str; 5] = ["name", "addr", "id", "weight", "disabled"];

impl<'a> Context<'a> {
    /// All of it.
    pub(super) fn new(
        settings: &'a ConfigSettings,
        layout: &'a Layout,
        generation: Generation,
        structure: &'a str,
    ) -> Self {
        Self::with(settings, layout, generation, structure, &servers)
    }

    /// What only a reload can change: no server, or in every backend the same two.
    pub(super) fn structure(settings: &'a ConfigSettings, layout: &'a Layout, samples: bool) -> Self {
        Self::with(settings, layout, Generation::Is(0), "", &|_| {
            if samples { sample_servers() } else { Rows::new(&SERVER, []) }
        })
    }

    fn with(
        settings: &'a ConfigSettings,
        layout: &'a Layout,
        generation: Generation,
        structure: &'a str,
        servers: &dyn Fn(&'a Backend) -> Rows,
    ) -> Self {
        let of = |protocol| {
            let backends = layout.backends.iter().filter(move |(_, b)| b.protocol == protocol);
            let view = |(name, b)| BackendView {
                name: BackendName::as_str(name),
                policy: policy(settings, name, b),
                servers: servers(b),
            };
            backends.map(view).collect()
        };
        Self {
            generation,
            structure,
            paths: &settings.paths,
            max_descriptors: MAX_DESCRIPTORS,
            hard_stop_seconds: settings.hard_stop.as_secs().max(1),
            server_options: settings.server_options.to_string(),
            tcp_server_options: all(settings, Protocol::Tcp).to_string(),
            access: settings.access.as_ref().map(|log| Access::new(&log.format, &settings.paths)),
            no_route_status: settings.no_route_status,
            no_server_status: settings.manners.no_server_status(),
            hipache: settings.manners.is_hipache(),
            listen: &settings.listen,
            canaries: policy::canaries(&settings.policies),
            tls_listen: if layout.certificates.is_empty() { &[] } else { &settings.tls_listen },
            quic_listen: quic_listen(settings, layout),
            limited_quic: settings.quic == Quic::Limited,
            certificate_list: LIST,
            stats_listen: settings.stats_listen,
            tcp_listen: tcp_listen(settings, layout),
            http_backends: of(Protocol::Http),
            tcp_backends: of(Protocol::Tcp),
        }
    }
}

fn quic_listen(settings: &ConfigSettings, layout: &Layout) -> Vec<String> {
    if layout.certificates.is_empty() || settings.quic == Quic::No {
        return Vec::new();
    }
    settings
        .tls_listen
        .iter()
        .map(|addr| format!("{}@{addr}", if addr.is_ipv4() { "quic4" } else { "quic6" }))
        .collect()
}

/// A listener whose service speaks HTTP gets no backend: HAProxy would refuse the whole file for it, and what
/// a service speaks is what members say.
fn tcp_listen(settings: &ConfigSettings, layout: &Layout) -> Vec<TcpListenView> {
    let view = |listen: &TcpListen| {
        let name = BackendName::from(&listen.service);
        let backend = layout.backends.get(&name).filter(|b| b.protocol == Protocol::Tcp);
        TcpListenView { addr: listen.addr, backend: backend.map(|_| name.to_string()) }
    };
    settings.tcp_listen.iter().map(view).collect()
}

/// What the operator says of it, and of its servers.
fn policy(settings: &ConfigSettings, name: &BackendName, backend: &Backend) -> Vec<String> {
    let said = settings.policies.get(name.service());
    let mut lines = policy::lines(name.service(), said, backend.protocol, settings.https_port());
    let options = policy::options(said, &settings.server_options, backend.protocol);
    if options != all(settings, backend.protocol) {
        lines.push(format!("default-server {options}"));
    }
    lines
}

/// What servers are told where no policy says more.
fn all(settings: &ConfigSettings, protocol: Protocol) -> ServerOptions {
    policy::options(&ServicePolicy::DEFAULT, &settings.server_options, protocol)
}

fn servers(backend: &Backend) -> Rows {
    let stay = backend.servers.iter().filter(|(_, server)| server.admin != Admin::Maint);
    let row = |(name, server): (&EndpointName, &Server)| {
        let Server { id, addr, weight, admin } = server;
        row(name.shared(), addr.get(), *id, weight.get(), *admin == Admin::Drain)
    };
    Rows::new(&SERVER, stay.map(row))
}

/// What stands for any servers, in both states: how the template writes a server's line is structure, too.
fn sample_servers() -> Rows {
    let addr = SocketAddr::from(([192, 0, 2, 1], 80));
    let sample = |(name, disabled): (&str, bool)| row(name.into(), addr, ServerId::FIRST, 100, disabled);
    Rows::new(&SERVER, [("sample1", false), ("sample2", true)].map(sample))
}

fn row(name: Arc<str>, addr: SocketAddr, id: ServerId, weight: u16, disabled: bool) -> [Cell; 5] {
    let (id, weight) = (Cell::Number(id.get().into()), Cell::Number(weight.into()));
    [Cell::Text(name), Cell::Addr(addr), id, weight, Cell::Flag(disabled)]
}
