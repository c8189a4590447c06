//! The one list of drivers, and the templates that the program carries for them.

pub mod offline;

use std::{
    fmt::Display,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat_contract::{AccessLog, DriverError, LogFile, LogFormat, Manners, Policies, ServicePolicy, TcpListen};
use backchat_haproxy::{AttachedSettings, HaproxyDriver, Template, quic::Quic};
use backchat_nginx::{NginxDriver, version::Speaks};
use backchat_openresty::OpenrestyDriver;
pub use backchat_template::read_template;

use crate::model::ServiceName;

/// HAProxy's file, unless the operator gives another.
pub const HAPROXY_TEMPLATE: &str = include_str!("../templates/haproxy.cfg.jinja");

/// nginx's file, unless the operator gives another.
pub const NGINX_TEMPLATE: &str = include_str!("../templates/nginx.conf.jinja");

/// Our file in an nginx of somebody else's, unless the operator gives another.
pub const NGINX_INCLUDE_TEMPLATE: &str = include_str!("../templates/nginx-include.conf.jinja");

/// Our file in an OpenResty of somebody else's, unless the operator gives another.
pub const OPENRESTY_INCLUDE_TEMPLATE: &str = include_str!("../templates/openresty-include.conf.jinja");

/// OpenResty's file, unless the operator gives another.
pub const OPENRESTY_TEMPLATE: &str = include_str!("../templates/openresty.conf.jinja");

/// The Lua that OpenResty's file takes in.
pub const BALANCER: &str = include_str!("../templates/balancer.lua");

/// The templates that the program carries: the driver (or its part) that they are shown by, and the text.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("haproxy", HAPROXY_TEMPLATE),
    ("nginx", NGINX_TEMPLATE),
    ("nginx-include", NGINX_INCLUDE_TEMPLATE),
    ("openresty", OPENRESTY_TEMPLATE),
    ("openresty-include", OPENRESTY_INCLUDE_TEMPLATE),
];

/// What an operator says of a data plane of ours.
#[derive(Clone, Debug)]
pub struct Managed<'a> {
    /// The program: a path, or a name that `$PATH` finds.
    pub program: &'a Path,
    /// Where it listens for HTTP.
    pub listen: &'a [SocketAddr],
    /// Where it listens for TCP.
    pub tcp_listen: &'a [TcpListen],
    /// How each service is balanced.
    pub policies: &'a Policies,
    /// Where it listens for HTTPS.
    pub tls_listen: &'a [SocketAddr],
    /// A template of the operator's own.
    pub template: Option<&'a Path>,
    /// Its access log: the file, and what a line says.
    pub access: Option<(&'a Path, &'a LogFormat)>,
    /// How clients and servers are treated.
    pub manners: Manners,
    /// Where its files and sockets lie.
    pub run_dir: &'a Path,
    /// Whether it is only read, for a dry run: then nothing is kept of a template either.
    pub rehearsal: bool,
}

impl Managed<'_> {
    /// Every address that it listens at.
    fn listeners(&self) -> Vec<SocketAddr> {
        let http = self.listen.iter().chain(self.tls_listen).copied();
        http.chain(self.tcp_listen.iter().map(|tcp| tcp.addr)).collect()
    }
}

/// A HAProxy of ours, with so many backends declared ahead.
pub fn haproxy(wanted: &Managed<'_>, spares: usize) -> Result<HaproxyDriver, DriverError> {
    HaproxyDriver::managed(haproxy_settings(wanted, spares)?)
}

fn haproxy_settings(wanted: &Managed<'_>, spares: usize) -> Result<backchat_haproxy::ManagedSettings, DriverError> {
    use backchat_haproxy::{ManagedSettings, config::ConfigSettings, paths::Paths};
    let paths = Paths::new(&absolute(wanted.run_dir)?)?;
    let config = ConfigSettings::new(
        template(wanted.template, "haproxy.cfg.jinja", HAPROXY_TEMPLATE)?,
        paths,
        wanted.listen.to_vec(),
    );
    let (policies, tcp_listen) = (wanted.policies.clone(), wanted.tcp_listen.to_vec());
    let program = wanted.program.display().to_string();
    // Where nobody asks for it, the program is not asked either.
    let quic = if wanted.tls_listen.is_empty() { Quic::No } else { Quic::of(&program) };
    let (tls_listen, access) = (wanted.tls_listen.to_vec(), access(wanted.access)?);
    let config = ConfigSettings { policies, tcp_listen, tls_listen, quic, access, ..config.mannered(wanted.manners) };
    Ok(ManagedSettings {
        program,
        spares,
        template_file: wanted.template.filter(|_| !wanted.rehearsal).map(absolute).transpose()?,
        ..ManagedSettings::new(config)
    })
}

/// The first address of these where somebody else listens: HAProxy would share it, and nobody would notice.
pub fn taken_from_haproxy(wanted: &Managed<'_>) -> Result<Option<SocketAddr>, DriverError> {
    use backchat_haproxy::{listeners, paths::Paths};
    Ok(listeners::taken(&Paths::new(&absolute(wanted.run_dir)?)?, &wanted.listeners()))
}

/// A HAProxy of somebody else's.
pub fn attached_haproxy(socket: &Path) -> HaproxyDriver {
    HaproxyDriver::attached(AttachedSettings::new(socket.to_owned()))
}

/// An nginx of ours.
pub fn nginx(wanted: &Managed<'_>) -> Result<NginxDriver, DriverError> {
    Ok(NginxDriver::managed(nginx_settings(wanted)?))
}

/// An nginx of somebody else's.
#[derive(Clone, Debug)]
pub struct AttachedNginx<'a> {
    /// The program that checks its configuration: a path, or a name that `$PATH` finds.
    pub program: &'a Path,
    /// Whether that one was named; else the one that its master was started from does, once it runs.
    pub is_named: bool,
    /// The file that is ours.
    pub include: &'a Path,
    /// Its main configuration.
    pub conf: &'a Path,
    /// Where its master's pid stands.
    pub pid_file: &'a Path,
    /// Where our file listens for HTTP, if anywhere.
    pub listen: &'a [SocketAddr],
    /// How each service is balanced.
    pub policies: &'a Policies,
    /// A template of the operator's own.
    pub template: Option<&'a Path>,
    /// The access log of our listeners: the file, and what a line says.
    pub access: Option<(&'a Path, &'a LogFormat)>,
    /// How clients and servers are treated.
    pub manners: Manners,
    /// Where our sockets lie.
    pub run_dir: &'a Path,
    /// Whether it is only read, for a dry run.
    pub rehearsal: bool,
}

/// An nginx of somebody else's.
pub fn attached_nginx(wanted: &AttachedNginx<'_>) -> Result<NginxDriver, DriverError> {
    Ok(NginxDriver::attached(attached_nginx_settings(wanted)?))
}

fn attached_nginx_settings(wanted: &AttachedNginx<'_>) -> Result<backchat_nginx::AttachedSettings, DriverError> {
    use backchat_nginx::{AttachedSettings, config::ConfigSettings, paths::Paths};
    let paths = Paths::new(&absolute(wanted.run_dir)?)?;
    let template = template(wanted.template, "nginx-include.conf.jinja", NGINX_INCLUDE_TEMPLATE)?;
    let mut config = ConfigSettings::new(template, paths, wanted.listen.to_vec()).mannered(wanted.manners);
    config.policies = spoken(wanted.policies, "nginx", |_, policy| of_nginx(policy, wanted.listen))?;
    config.access = access(wanted.access)?;
    let [include, conf, pid_file] = [wanted.include, wanted.conf, wanted.pid_file].map(absolute);
    let program = wanted.program.display().to_string();
    let mut settings = AttachedSettings::new(config, program, include?, conf?, pid_file?)?;
    settings.attached.is_named = wanted.is_named;
    settings.template_file = wanted.template.filter(|_| !wanted.rehearsal).map(absolute).transpose()?;
    Ok(settings)
}

/// The first address of these where somebody else listens.
pub fn taken_from_nginx(wanted: &Managed<'_>) -> Result<Option<SocketAddr>, DriverError> {
    Ok(nginx_settings(wanted)?.taken())
}

fn nginx_settings(wanted: &Managed<'_>) -> Result<backchat_nginx::ManagedSettings, DriverError> {
    use backchat_nginx::{ManagedSettings, config::ConfigSettings, paths::Paths};
    let paths = Paths::new(&absolute(wanted.run_dir)?)?;
    let template = template(wanted.template, "nginx.conf.jinja", NGINX_TEMPLATE)?;
    let mut config = ConfigSettings::new(template, paths, wanted.listen.to_vec()).mannered(wanted.manners);
    let is_tcp = |service: &ServiceName| wanted.tcp_listen.iter().any(|tcp| tcp.service == *service);
    let lacks = |service: &ServiceName, policy: &ServicePolicy| backchat_nginx::policy::lacks(policy, is_tcp(service));
    config.policies = spoken(wanted.policies, "nginx", lacks)?;
    config.tcp_listen = wanted.tcp_listen.to_vec();
    if !config.tcp_listen.is_empty() {
        config.modules = backchat_nginx::stream::module(&wanted.program.display().to_string())?.into_iter().collect();
    }
    config.access = access(wanted.access)?;
    (config.tls_listen, config.speaks) = (wanted.tls_listen.to_vec(), speaks(wanted, wanted.program));
    Ok(ManagedSettings {
        program: wanted.program.display().to_string(),
        template_file: wanted.template.filter(|_| !wanted.rehearsal).map(absolute).transpose()?,
        ..ManagedSettings::new(config)
    })
}

/// How an OpenResty of ours is run: by the program that was named, else by the first that has Lua.
pub async fn openresty_settings(
    wanted: &Managed<'_>,
    named: Option<&Path>,
) -> Result<backchat_openresty::ManagedSettings, DriverError> {
    use backchat_openresty::program;
    let named = named.map(|path| path.display().to_string());
    openresty_of(wanted, program::find(named.as_deref()).await?)
}

fn openresty_of(
    wanted: &Managed<'_>,
    found: backchat_openresty::program::Program,
) -> Result<backchat_openresty::ManagedSettings, DriverError> {
    use backchat_openresty::{ManagedSettings, Paths, config::ConfigSettings};
    if let Some(tcp) = wanted.tcp_listen.first() {
        let remedy = "--openresty-mode reload does, and so do --driver nginx and haproxy";
        return Err(DriverError::Unsupported(format!("listen for TCP at {tcp}: OpenResty's Lua does not; {remedy}")));
    }
    let paths = Paths::new(&absolute(wanted.run_dir)?)?;
    let template = template(wanted.template, "openresty.conf.jinja", OPENRESTY_TEMPLATE)?;
    let config = ConfigSettings::new(template, BALANCER.into(), paths, wanted.listen.to_vec());
    let config = ConfigSettings {
        policies: spoken(wanted.policies, "OpenResty's Lua", |_, policy| backchat_openresty::policy::lacks(policy))?,
        access: access(wanted.access)?,
        tls_listen: wanted.tls_listen.to_vec(),
        speaks: speaks(wanted, Path::new(&found.program)),
        ..config.mannered(wanted.manners)
    };
    let template_file = wanted.template.filter(|_| !wanted.rehearsal).map(absolute).transpose()?;
    Ok(ManagedSettings { template_file, ..ManagedSettings::new(config, found) })
}

/// An OpenResty of ours, driven by Lua.
pub fn openresty(settings: backchat_openresty::ManagedSettings) -> Result<OpenrestyDriver, DriverError> {
    OpenrestyDriver::managed(settings)
}

/// The program of an OpenResty of somebody else's: the one that was named, else that of the one which runs, else the
/// first that is here.
pub async fn openresty_of_theirs(named: Option<&Path>, pid_file: &Path) -> Result<PathBuf, DriverError> {
    let named = named.map(|path| path.display().to_string());
    Ok(backchat_openresty::program::find_theirs(named.as_deref(), pid_file).await?.into())
}

/// An OpenResty of somebody else's, driven by Lua.
pub fn attached_openresty(wanted: &AttachedNginx<'_>) -> Result<OpenrestyDriver, DriverError> {
    OpenrestyDriver::attached(attached_openresty_settings(wanted)?)
}

fn attached_openresty_settings(
    wanted: &AttachedNginx<'_>,
) -> Result<backchat_openresty::AttachedSettings, DriverError> {
    use backchat_openresty::{AttachedSettings, Paths, config::ConfigSettings};
    let paths = Paths::new(&absolute(wanted.run_dir)?)?;
    let template = template(wanted.template, "openresty-include.conf.jinja", OPENRESTY_INCLUDE_TEMPLATE)?;
    let config = ConfigSettings::new(template, BALANCER.into(), paths, wanted.listen.to_vec());
    let mut config = config.mannered(wanted.manners);
    let lacks = |_: &ServiceName, policy: &ServicePolicy| {
        let here = backchat_openresty::policy::lacks(policy).map(str::to_owned);
        here.or_else(|| of_nginx(policy, wanted.listen))
    };
    config.policies = spoken(wanted.policies, "OpenResty's Lua", lacks)?;
    config.access = access(wanted.access)?;
    let [include, conf, pid_file] = [wanted.include, wanted.conf, wanted.pid_file].map(absolute);
    let program = wanted.program.display().to_string();
    let mut settings = AttachedSettings::new(config, program, include?, conf?, pid_file?)?;
    settings.attached.is_named = wanted.is_named;
    settings.template_file = wanted.template.filter(|_| !wanted.rehearsal).map(absolute).transpose()?;
    Ok(settings)
}

/// The program of an OpenResty that is driven as an nginx is: the one that was named, else the first that is here.
pub async fn openresty_without_lua(named: Option<&Path>) -> Result<PathBuf, DriverError> {
    let named = named.map(|path| path.display().to_string());
    Ok(backchat_openresty::program::find_any(named.as_deref()).await?.into())
}

/// The policies, where the data plane has words for all of them.
fn spoken<W: Display>(
    policies: &Policies,
    plane: &str,
    lacks: impl Fn(&ServiceName, &ServicePolicy) -> Option<W>,
) -> Result<Policies, DriverError> {
    let missing = policies.iter().find_map(|(service, policy)| Some((service, lacks(service, policy)?)));
    missing.map_or_else(
        || Ok(policies.clone()),
        |(service, what)| Err(DriverError::Unsupported(format!("balance service {service} by {plane} so: {what}"))),
    )
}

/// What somebody else's nginx lacks: without a listener of ours, all that only a location can do.
fn of_nginx(policy: &ServicePolicy, listen: &[SocketAddr]) -> Option<String> {
    let of_location = || backchat_nginx::policy::of_location(policy).filter(|_| listen.is_empty());
    let lacks = backchat_nginx::policy::lacks(policy, false).map(str::to_owned);
    lacks.or_else(|| of_location().map(|what| format!("{what}: it takes a listener of ours: --listen")))
}

/// What this nginx speaks over TLS; where nobody asks for that, the program is not asked either.
fn speaks(wanted: &Managed<'_>, program: &Path) -> Speaks {
    if wanted.tls_listen.is_empty() { Speaks::default() } else { Speaks::of(&program.display().to_string()) }
}

/// The operator's template, else ours.
fn template(path: Option<&Path>, name: &str, ours: &str) -> Result<Template, DriverError> {
    let Some(path) = path else { return Ok(Template { name: name.into(), text: ours.into() }) };
    let text = read_template(path).map_err(DriverError::file("read", path))?;
    Ok(Template { name: path.display().to_string(), text })
}

/// An access log, its file by its whole path.
fn access(wanted: Option<(&Path, &LogFormat)>) -> Result<Option<AccessLog>, DriverError> {
    let Some((file, format)) = wanted else { return Ok(None) };
    let file = LogFile::try_from(absolute(file)?).map_err(DriverError::Unsupported)?;
    // Later each engine would say it in its own words, again and again.
    if let Some(folder) = file.path().parent().filter(|folder| !folder.is_dir()) {
        let (file, folder) = (file.path().display(), folder.display());
        return Err(DriverError::Unsupported(format!("write the access log {file}: make the folder {folder} first")));
    }
    if let Some(why) = unwritable(file.path()) {
        let file = file.path().display();
        return Err(DriverError::Unsupported(format!(
            "write the access log {file}: {why}; choose another --access-log"
        )));
    }
    Ok(Some(AccessLog { file, format: format.clone() }))
}

/// Why nothing can be written to a file that is there; nothing is written, and none is made.
fn unwritable(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some("it is a folder".into());
    }
    let opened = std::fs::OpenOptions::new().append(true).open(path);
    opened.err().filter(|error| error.kind() != std::io::ErrorKind::NotFound).map(|error| error.to_string())
}

fn absolute(path: &Path) -> Result<PathBuf, DriverError> {
    std::path::absolute(path).map_err(DriverError::file("find", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever data plane it is: the operator's template is read, and followed from then on.
    #[tokio::test]
    async fn the_operators_template_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my.jinja");
        std::fs::write(&file, "mine").unwrap();
        let template = Some(file.as_path());
        let policies = Policies::default();
        let wanted = Managed {
            program: Path::new("nginx"),
            listen: &[],
            tcp_listen: &[],
            policies: &policies,
            template,
            access: None,
            manners: Manners::Ours,
            tls_listen: &[],
            run_dir: folder.path(),
            rehearsal: false,
        };
        let ours = nginx_settings(&wanted).unwrap();
        let [include, conf, pid_file] = ["b.conf", "nginx.conf", "nginx.pid"].map(|name| folder.path().join(name));
        let attached = AttachedNginx {
            program: wanted.program,
            is_named: true,
            include: &include,
            conf: &conf,
            pid_file: &pid_file,
            listen: &[],
            policies: &policies,
            template,
            access: None,
            manners: Manners::Ours,
            run_dir: folder.path(),
            rehearsal: false,
        };
        let theirs = attached_nginx_settings(&attached).unwrap();
        let their_lua = attached_openresty_settings(&attached).unwrap();
        let named = std::env::var_os("BACKCHAT_OPENRESTY").map(PathBuf::from);
        let lua = openresty_settings(&wanted, named.as_deref()).await.unwrap();
        let templates = [ours.config.template, theirs.config.template, lua.config.template, their_lua.config.template];
        assert_eq!(templates.map(|template| template.text), ["mine"; 4]);
        let files = [ours.template_file, theirs.template_file, lua.template_file, their_lua.template_file];
        assert_eq!(files, [(); 4].map(|()| Some(file.clone())));
    }
}
