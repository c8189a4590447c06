//! The configuration as text: the operator's settings and a layout in, the file and the maps out. Pure: same
//! input, same bytes.
//!
//! Data reaches the text only as newtypes and numbers, and never within double quotes, where HAProxy expands
//! `${ENV}`.

mod access;
mod context;

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, time::Duration};

use backchat_contract::{AccessLog, DriverError, Manners, Pem, Policies, Protocol, ServiceName, TcpListen};
use backchat_template::{BLANK_STRUCTURE, Generation, Template, filled, hash};
pub use backchat_template::{Seal, seal};
use context::Context;

use crate::{
    certificates::{self, CertFile, LIST},
    layout::{Backend, BackendName, Layout},
    maps,
    options::ServerOptions,
    paths::Paths,
    quic::Quic,
};

/// What stands before the generation in the file.
pub(crate) const GENERATION: &str = "proc.backchat_gen str(";

/// What the operator says, and where things lie.
#[derive(Clone, Debug)]
pub struct ConfigSettings {
    /// What is rendered.
    pub template: Template,
    /// Where the file, the maps and the sockets lie.
    pub paths: Paths,
    /// Where HTTP comes in.
    pub listen: Vec<SocketAddr>,
    /// Where HTTPS comes in, once there is a certificate.
    pub tls_listen: Vec<SocketAddr>,
    /// Whether HTTP/3 is offered beside it.
    pub quic: Quic,
    /// Where TCP comes in.
    pub tcp_listen: Vec<TcpListen>,
    /// Where `/metrics` and `/stats` are answered, if anywhere.
    pub stats_listen: Option<SocketAddr>,
    /// What a request for an unknown host or path is answered with: 404, Hipache's habit 400.
    pub no_route_status: u16,
    /// How else clients and servers are treated.
    pub manners: Manners,
    /// How long a worker may go on after a reload, in whole seconds, at least 1.
    pub hard_stop: Duration,
    /// How each service is balanced.
    pub policies: Policies,
    /// What every server is told, here and in `add server` alike.
    pub server_options: ServerOptions,
    /// Where a line a request goes, if anywhere.
    pub access: Option<AccessLog>,
}

impl ConfigSettings {
    /// The defaults beside what has none.
    pub fn new(template: Template, paths: Paths, listen: Vec<SocketAddr>) -> Self {
        Self {
            template,
            paths,
            listen,
            tls_listen: Vec::new(),
            quic: Quic::No,
            tcp_listen: Vec::new(),
            stats_listen: None,
            no_route_status: Manners::Ours.no_route_status(),
            manners: Manners::Ours,
            hard_stop: Duration::from_secs(30),
            policies: Policies::default(),
            server_options: ServerOptions::default(),
            access: None,
        }
    }
}

impl ConfigSettings {
    /// The same with these manners.
    #[must_use]
    pub fn mannered(self, manners: Manners) -> Self {
        let server_options = ServerOptions { observe: manners.is_hipache(), ..self.server_options };
        Self { manners, no_route_status: manners.no_route_status(), server_options, ..self }
    }

    /// The layout of a fresh file: the backends of the services that the operator named, and this many spares.
    pub fn fresh(&self, generation: u64, spares: usize) -> Layout {
        let mut layout = Layout::empty(generation, spares);
        layout.backends.extend(self.declared());
        layout
    }

    /// Where requests that want TLS are sent.
    pub(crate) fn https_port(&self) -> Option<u16> {
        self.tls_listen.first().map(SocketAddr::port)
    }

    /// Backends that are there before their services: a policy is of the structure, and a spare has none.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (BackendName, Backend)> {
        let tcp = |service: &ServiceName| self.tcp_listen.iter().any(|listen| listen.service == *service);
        self.policies.iter().map(move |(service, _)| {
            let protocol = if tcp(service) { Protocol::Tcp } else { Protocol::Http };
            (BackendName::from(service), Backend { protocol, ..Backend::default() })
        })
    }
}

/// A layout as HAProxy reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The configuration, sealed.
    pub config: String,
    /// The host map: route key and backend.
    pub hosts: String,
    /// Every backend of ours and its service.
    pub services: String,
    /// The list of certificates; empty where there is none.
    pub certificates: String,
    /// The files that it names; without a text: as it is at its place.
    pub pems: BTreeMap<CertFile, Option<Pem>>,
    /// What only a reload can change, as a hash: the configuration without servers, generation and maps.
    /// 16 hexadecimal digits; the running process says it as `proc.backchat_structure`.
    pub structure: String,
}

/// Renders. Fails where the template does: a name that is not there, a line that must be there.
///
/// Left out: servers in maintenance (on their way out), routes to backends that are not there or speak no
/// HTTP. Servers that drain are rendered `disabled`: a HAProxy restarted from the file alone gives them
/// nothing, and the runtime takes them from there to drain or to ready by the same steps as any other.
pub fn render(settings: &ConfigSettings, layout: &Layout) -> Result<Rendered, DriverError> {
    render_by(&settings.template, settings, layout)
}

/// Renders by another template than that of the settings.
pub(crate) fn render_by(
    template: &Template,
    settings: &ConfigSettings,
    layout: &Layout,
) -> Result<Rendered, DriverError> {
    Renderer::new(settings).render(template, layout)
}

/// Renders by the same settings again and again: a layout under another generation is the same text, but for that.
pub(crate) struct Renderer<'a> {
    settings: &'a ConfigSettings,
    /// The configuration that was rendered last, and the same with blanks.
    last: RefCell<Option<(String, String)>>,
}

impl<'a> Renderer<'a> {
    /// Nothing is rendered yet.
    pub(crate) fn new(settings: &'a ConfigSettings) -> Self {
        Self { settings, last: RefCell::default() }
    }

    /// A layout as files.
    pub(crate) fn render(&self, template: &Template, layout: &Layout) -> Result<Rendered, DriverError> {
        let structure = structure_by(template, self.settings, layout)?;
        let says = |generation, structure| Context::new(self.settings, layout, generation, structure);
        if template.leaves_blanks() {
            let blanks = template.render(&says(Generation::BLANK, BLANK_STRUCTURE)).map_err(DriverError::from)?;
            if let Some(text) = filled(&blanks, layout.generation, &structure) {
                let rendered = finish(template, self.settings, layout, text, structure)?;
                self.last.replace(Some((rendered.config.clone(), blanks)));
                return Ok(rendered);
            }
        }
        let text = template.render(&says(Generation::Is(layout.generation), &structure)).map_err(DriverError::from)?;
        finish(template, self.settings, layout, text, structure)
    }

    /// What was `rendered` of this layout under another generation, under its own.
    pub(crate) fn again(
        &self,
        template: &Template,
        layout: &Layout,
        rendered: &Rendered,
    ) -> Result<Rendered, DriverError> {
        let filled = |(config, blanks): &(String, String)| {
            let known = *config == rendered.config;
            known.then(|| filled(blanks, layout.generation, &rendered.structure)).flatten()
        };
        let text = self.last.borrow().as_ref().and_then(filled);
        text.map_or_else(
            || self.render(template, layout),
            |text| finish(template, self.settings, layout, text, rendered.structure.clone()),
        )
    }
}

/// What was rendered as files: with what must be in it, the maps, and the seal.
fn finish(
    template: &Template,
    settings: &ConfigSettings,
    layout: &Layout,
    text: String,
    structure: String,
) -> Result<Rendered, DriverError> {
    template.must_render(&text, &format!("stats socket {}", settings.paths.socket.display()))?;
    template.must_render(&text, &format!("{GENERATION}{})", layout.generation))?;
    template.must_render(&text, &format!("proc.backchat_structure str({structure})"))?;
    if settings.access.is_some() {
        template.must_render(&text, "log stdout")?;
    }
    if !settings.tls_listen.is_empty() && !layout.certificates.is_empty() {
        template.must_render_as(&text, &format!("crt-list {LIST}"), "crt-list {{ certificate_list }}")?;
    }
    let (hosts, services) = (maps::text(&maps::hosts(layout)), maps::text(&maps::services(layout)));
    let (certificates, pems) = (certificates::list(&layout.certificates), certificates::files(&layout.certificates));
    Ok(Rendered { config: seal(text), hosts, services, certificates, pems, structure })
}

/// The hash of what only a reload can change.
pub fn structure(settings: &ConfigSettings, layout: &Layout) -> Result<String, DriverError> {
    structure_by(&settings.template, settings, layout)
}

/// With samples in place of the servers and without any: a template may write a backend without servers otherwise.
fn structure_by(template: &Template, settings: &ConfigSettings, layout: &Layout) -> Result<String, DriverError> {
    let text = |samples| template.render(&Context::structure(settings, layout, samples)).map_err(DriverError::from);
    Ok(hash(&(text(false)? + &text(true)?)))
}

/// What the engine said of a rendering by this template, with the template's own line where it names one.
pub(crate) fn located(
    error: DriverError,
    template: &Template,
    settings: &ConfigSettings,
    (layout, rendered): (&Layout, &Rendered),
) -> DriverError {
    let DriverError::Check { file, message } = error else { return error };
    let context = Context::new(settings, layout, Generation::Is(layout.generation), &rendered.structure);
    let (file, message) = template.blame(&context, &rendered.config, (&file, &message));
    DriverError::Check { file, message }
}

/// Which generation a file renders.
pub(crate) fn generation_of(config: &str) -> Option<u64> {
    config.split_once(GENERATION)?.1.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests;
