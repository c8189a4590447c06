//! The one list of drivers, and the templates that the program carries for them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;
use backchat_haproxy::{
    AttachedSettings, HaproxyDriver, ManagedSettings, Template, config::ConfigSettings, listeners, paths::Paths,
};

/// HAProxy's file, unless the operator gives another.
pub const HAPROXY_TEMPLATE: &str = include_str!("../templates/haproxy.cfg.jinja");

/// What an operator says of a HAProxy of ours.
#[derive(Clone, Debug)]
pub struct Managed<'a> {
    /// The program: a path, or a name that `$PATH` finds.
    pub program: &'a Path,
    /// Where it listens for HTTP.
    pub listen: &'a [SocketAddr],
    /// A template of the operator's own.
    pub template: Option<&'a Path>,
    /// Backends declared ahead.
    pub spares: usize,
    /// Where its files and sockets lie.
    pub run_dir: &'a Path,
}

/// A HAProxy of ours.
pub fn managed(wanted: &Managed<'_>) -> Result<HaproxyDriver, DriverError> {
    let paths = Paths::new(&absolute(wanted.run_dir)?)?;
    let config = ConfigSettings::new(template(wanted.template)?, paths, wanted.listen.to_vec());
    HaproxyDriver::managed(ManagedSettings {
        program: wanted.program.display().to_string(),
        spares: wanted.spares,
        ..ManagedSettings::new(config)
    })
}

/// The first address of these where somebody else listens: HAProxy would share it, and nobody would notice.
pub fn taken(wanted: &Managed<'_>) -> Result<Option<SocketAddr>, DriverError> {
    Ok(listeners::taken(&Paths::new(&absolute(wanted.run_dir)?)?, wanted.listen))
}

/// A HAProxy of somebody else's.
pub fn attached(socket: &Path) -> HaproxyDriver {
    HaproxyDriver::attached(AttachedSettings::new(socket.to_owned()))
}

fn template(path: Option<&Path>) -> Result<Template, DriverError> {
    let Some(path) = path else {
        return Ok(Template { name: "haproxy.cfg.jinja".into(), text: HAPROXY_TEMPLATE.into() });
    };
    let text = fs::read_to_string(path).map_err(DriverError::file("read", path))?;
    Ok(Template { name: path.display().to_string(), text })
}

fn absolute(path: &Path) -> Result<PathBuf, DriverError> {
    std::path::absolute(path).map_err(DriverError::file("find", path))
}
