//! The configuration as text: the operator's settings and a table in, the file out. Pure: same input, same bytes.
//!
//! What nginx reads of it changes with the settings alone. The table stands behind that, as comments: an OpenResty that
//! is started from the file serves it before anybody has pushed.

mod context;

use std::{fmt::Write, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use backchat_contract::{AccessLog, DriverError, Manners, Policies};
use backchat_nginx::{
    certificates::{self, Certificates},
    lines::{self, MARK},
    paths::Paths,
    version::Speaks,
};
use backchat_template::{Template, hash, seal};
use context::Context;

use crate::table::{self, Table};

/// What the operator says, and where things lie.
#[derive(Clone, Debug)]
pub struct ConfigSettings {
    /// What is rendered.
    pub template: Template,
    /// The text of `balancer.lua`, which the template takes in.
    pub balancer: Arc<str>,
    /// Where the file and the socket lie.
    pub paths: Paths,
    /// Whether the file is part of somebody else's.
    pub is_include: bool,
    /// Where HTTP comes in.
    pub listen: Vec<SocketAddr>,
    /// How each service is balanced.
    pub policies: Policies,
    /// Where HTTPS comes in, once there is a certificate.
    pub tls_listen: Vec<SocketAddr>,
    /// What is spoken there, beside HTTP/1.1.
    pub speaks: Speaks,
    /// What TLS is spoken by: no part of the table, for a reload alone changes it.
    pub certificates: Certificates,
    /// Modules to load, in this order; none where Lua is built in.
    pub modules: Vec<PathBuf>,
    /// Worker processes; one for each processor where it is not said.
    pub workers: Option<u16>,
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
    pub fn new(template: Template, balancer: Arc<str>, paths: Paths, listen: Vec<SocketAddr>) -> Self {
        Self {
            template,
            balancer,
            paths,
            is_include: false,
            listen,
            policies: Policies::default(),
            tls_listen: Vec::new(),
            speaks: Speaks::default(),
            certificates: Certificates::new(),
            modules: Vec::new(),
            workers: None,
            no_route_status: Manners::Ours.no_route_status(),
            manners: Manners::Ours,
            retire: Duration::from_secs(60),
            temp: None,
            max_descriptors: 20_000,
            access: None,
        }
    }
}

impl ConfigSettings {
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

/// What a file of ours says behind what nginx reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which rendering of ours: it counts the reloads.
    pub generation: u64,
    /// The hash that nginx answers too.
    pub structure: String,
    /// What TLS is spoken by.
    pub certificates: Certificates,
    /// The table.
    pub table: Table,
}

/// The file as nginx reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The whole file: what the template says, the table as comments, the seal.
    pub text: String,
    /// What only a reload can change, as a hash: all that the template says, but for generation and hash.
    /// 16 hexadecimal digits; nginx says it on its control socket.
    pub structure: String,
}

/// What the shared memory of the table is given, in KiB, at least: tables of 50,000 endpoints. It costs what is used.
const ROOM: u64 = 16 * 1024;

/// How much shared memory a table takes, in KiB: it lies there twice while it changes, in pieces, beside what an earlier
/// one has left; so four times its length, in steps far enough apart that none comes often.
pub fn room(table: &Table) -> u64 {
    let length = table::encode(table).len() as u64;
    (length * 4).div_ceil(1024).next_power_of_two().max(ROOM)
}

/// Renders with so much shared memory, in KiB. Fails where the template does: a name that is not there, a line that must
/// be there.
pub fn render(settings: &ConfigSettings, table: &Table, room: u64, generation: u64) -> Result<Rendered, DriverError> {
    Ok(with_table(&head(settings, room, generation)?, table))
}

/// What the template makes of it: without the table, the same whoever is served.
pub(crate) fn head(settings: &ConfigSettings, room: u64, generation: u64) -> Result<Rendered, DriverError> {
    let rendered = |generation, structure: &str| {
        let context = Context::new(settings, room, generation, structure);
        settings.template.render(&context).map_err(DriverError::from)
    };
    let structure = hash(&rendered(0, "")?);
    let mut text = rendered(generation, &structure)?;
    settings.template.must_render(&text, &format!("unix:{}", settings.paths.control.display()))?;
    if !settings.is_include {
        settings.template.must_render(&text, &settings.paths.log.display().to_string())?;
        settings.template.must_render(&text, &settings.paths.pid.display().to_string())?;
    }
    if let Some(access) = &settings.access {
        settings.template.must_render(&text, &format!("access_log {}", access.file.path().display()))?;
    }
    settings.template.must_render_as(&text, settings.balancer.trim_end(), "{{ balancer }}")?;
    settings.template.must_render_as(
        &text,
        &format!("{generation} {structure}"),
        "{{ generation }} {{ structure }}",
    )?;
    if !settings.tls_listen.is_empty() && !settings.certificates.is_empty() {
        settings.template.must_render_as(
            &text,
            &settings.paths.certificates.display().to_string(),
            "sites[].certificate",
        )?;
    }
    if lines::are_in(&text) {
        let message = format!("no line of the template may begin with '{}'", MARK.trim_end());
        return Err(DriverError::Check { file: settings.template.name.clone(), message });
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // Writing to a string does not fail.
    let _ = writeln!(text, "{MARK}set {generation} {structure}");
    text += &certificates::print(&settings.certificates);
    Ok(Rendered { text, structure })
}

/// The whole file: the table behind that, and the seal.
pub(crate) fn with_table(head: &Rendered, table: &Table) -> Rendered {
    let lines = table::encode(table);
    let mut text = String::with_capacity(head.text.len() + lines.len() * 5 / 4);
    text.push_str(&head.text);
    for line in lines.lines() {
        text.push_str(MARK);
        text.push_str(line);
        text.push('\n');
    }
    Rendered { text: seal(text), structure: head.structure.clone() }
}

/// Reads what [`render`] wrote behind the rest; `None` where that is nothing we could have written.
pub fn parse(file: &str) -> Option<Kept> {
    let mut lines = file.lines().filter_map(|line| line.strip_prefix(MARK));
    let (generation, structure) = lines.next()?.strip_prefix("set ")?.split_once(' ')?;
    let mut known = Certificates::new();
    let mut text = String::new();
    for line in lines {
        if certificates::read(&mut known, &line.split(' ').collect::<Vec<_>>()).is_none() {
            text.extend([line, "\n"]);
        }
    }
    Some(Kept {
        certificates: known,
        generation: generation.parse().ok()?,
        structure: structure.to_owned(),
        table: table::decode(&text).ok()?,
    })
}

/// What nginx said of a file of ours, with the template's own line where it names one of the file.
pub(crate) fn located(
    settings: &ConfigSettings,
    (text, room): (&str, u64),
    error: &DriverError,
) -> Option<DriverError> {
    let DriverError::Check { file, message } = error else { return None };
    let Kept { generation, structure, certificates, .. } = parse(text)?;
    let settings = &ConfigSettings { certificates, ..settings.clone() };
    let context = Context::new(settings, room, generation, &structure);
    let (file, message) = settings.template.blame(&context, text, (file, message));
    Some(DriverError::Check { file, message })
}

#[cfg(test)]
mod tests;
