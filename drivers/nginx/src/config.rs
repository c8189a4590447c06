//! The configuration as text: the operator's settings and a layout in, the file out. Pure: same input, same bytes.
//!
//! Data reaches the text only as newtypes and numbers.

mod context;

use std::{cell::RefCell, net::SocketAddr, path::PathBuf, time::Duration};

use backchat_contract::{AccessLog, DriverError, Manners, Policies, TcpListen};
use backchat_template::{BLANK_STRUCTURE, Generation, Template, filled, hash, seal};
use context::Context;

use crate::{
    layout::Layout,
    lines::{self, Kept},
    paths::Paths,
    version::Speaks,
};

/// What the operator says, and where things lie.
#[derive(Clone, Debug)]
pub struct ConfigSettings {
    /// What is rendered.
    pub template: Template,
    /// Where the file and the sockets lie.
    pub paths: Paths,
    /// Whether the file is part of somebody else's.
    pub is_include: bool,
    /// Where HTTP comes in.
    pub listen: Vec<SocketAddr>,
    /// Where TCP comes in.
    pub tcp_listen: Vec<TcpListen>,
    /// Modules to load.
    pub modules: Vec<PathBuf>,
    /// How each service is balanced.
    pub policies: Policies,
    /// Where HTTPS comes in, once there is a certificate.
    pub tls_listen: Vec<SocketAddr>,
    /// What is spoken there, beside HTTP/1.1.
    pub speaks: Speaks,
    /// What a request for an unknown host or path is answered with: 404, Hipache's habit 400.
    pub no_route_status: u16,
    /// How else clients and servers are treated.
    pub manners: Manners,
    /// How long a worker may go on after a reload, in whole seconds, at least 1.
    pub retire: Duration,
    /// Where bodies too long for memory are kept; `None` where nginx was built to keep them.
    pub temp: Option<PathBuf>,
    /// Descriptors that a worker may use.
    pub max_descriptors: u64,
    /// Where a line a request goes, if anywhere.
    pub access: Option<AccessLog>,
}

impl ConfigSettings {
    /// The defaults beside what has none.
    pub fn new(template: Template, paths: Paths, listen: Vec<SocketAddr>) -> Self {
        Self {
            template,
            paths,
            is_include: false,
            listen,
            tcp_listen: Vec::new(),
            modules: Vec::new(),
            policies: Policies::default(),
            tls_listen: Vec::new(),
            speaks: Speaks::default(),
            no_route_status: Manners::Ours.no_route_status(),
            manners: Manners::Ours,
            retire: Duration::from_secs(60),
            temp: None,
            max_descriptors: 20_000,
            access: None,
        }
    }

    /// The same with these manners.
    #[must_use]
    pub fn mannered(self, manners: Manners) -> Self {
        Self { manners, no_route_status: manners.no_route_status(), ..self }
    }

    /// The same by another template.
    #[must_use]
    pub fn by(&self, template: &Template) -> Self {
        Self { template: template.clone(), ..self.clone() }
    }
}

/// A layout as nginx reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The whole file: what the template says, the set as comments, the seal.
    pub text: String,
    /// What only a reload can change, as a hash: all that the template says, but for generation and hash.
    /// 16 hexadecimal digits; nginx says it on its control socket.
    pub structure: String,
}

/// Renders. Fails where the template does: a name that is not there, a line that must be there.
pub fn render(settings: &ConfigSettings, layout: &Layout, generation: u64) -> Result<Rendered, DriverError> {
    let renderer = Renderer::new(settings);
    let structure = renderer.structure(layout)?;
    let text = renderer.file(layout, generation, &structure)?;
    Ok(Rendered { text, structure })
}

/// Renders by the same settings again and again: what was rendered for a hash is the file, but for the hash itself.
pub struct Renderer<'a> {
    settings: &'a ConfigSettings,
    /// What was rendered last, with blanks, and its hash.
    last: RefCell<Option<(String, String)>>,
}

impl<'a> Renderer<'a> {
    /// Nothing is rendered yet.
    pub fn new(settings: &'a ConfigSettings) -> Self {
        Self { settings, last: RefCell::default() }
    }

    /// The hash of what a reload with this layout would bring.
    pub fn structure(&self, layout: &Layout) -> Result<String, DriverError> {
        let says = |generation, structure| Context::new(self.settings, layout, generation, structure);
        if self.settings.template.leaves_blanks() {
            let text = self.rendered(&says(Generation::BLANK, BLANK_STRUCTURE))?;
            if let Some(blank) = filled(&text, 0, "") {
                let structure = hash(&blank);
                self.last.replace(Some((structure.clone(), text)));
                return Ok(structure);
            }
        }
        Ok(hash(&self.rendered(&says(Generation::Is(0), ""))?))
    }

    /// The file, where its structure is known already.
    pub fn file(&self, layout: &Layout, generation: u64, structure: &str) -> Result<String, DriverError> {
        let last = self.last.borrow();
        let known = last.as_ref().filter(|(of, _)| of == structure);
        let text = match known.and_then(|(_, text)| filled(text, generation, structure)) {
            Some(text) => text,
            None => self.rendered(&Context::new(self.settings, layout, Generation::Is(generation), structure))?,
        };
        finish(self.settings, text, (generation, structure, layout))
    }

    fn rendered(&self, context: &Context<'_>) -> Result<String, DriverError> {
        self.settings.template.render(context).map_err(DriverError::from)
    }
}

/// What was rendered as a file: with what must be in it, the set, and the seal.
fn finish(
    settings: &ConfigSettings,
    mut text: String,
    (generation, structure, layout): (u64, &str, &Layout),
) -> Result<String, DriverError> {
    settings.template.must_render(&text, &format!("unix:{}", settings.paths.control.display()))?;
    if !settings.is_include {
        settings.template.must_render(&text, &settings.paths.log.display().to_string())?;
        settings.template.must_render(&text, &settings.paths.pid.display().to_string())?;
    }
    if let Some(access) = &settings.access {
        settings.template.must_render(&text, &format!("access_log {}", access.file.path().display()))?;
    }
    settings.template.must_render_as(
        &text,
        &format!("{generation} {structure}"),
        "{{ generation }} {{ structure }}",
    )?;
    if !settings.tls_listen.is_empty() && !layout.certificates.is_empty() {
        settings.template.must_render_as(
            &text,
            &settings.paths.certificates.display().to_string(),
            "sites[].certificate",
        )?;
    }
    if lines::are_in(&text) {
        let message = format!("no line of the template may begin with '{}'", lines::MARK.trim_end());
        return Err(DriverError::Check { file: settings.template.name.clone(), message });
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text += &lines::print_set(generation, structure, layout);
    Ok(seal(text))
}

/// What nginx said of a file of ours, with the template's own line where it names one of the file.
pub(crate) fn located(settings: &ConfigSettings, text: &str, error: &DriverError) -> Option<DriverError> {
    let DriverError::Check { file, message } = error else { return None };
    let Kept { generation, structure, layout } = lines::parse(text)?;
    let context = Context::new(settings, &layout, Generation::Is(generation), &structure);
    let (file, message) = settings.template.blame(&context, text, (file, message));
    Some(DriverError::Check { file, message })
}

#[cfg(test)]
mod tests;
