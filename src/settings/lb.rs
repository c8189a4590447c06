//! What a balancer runs by.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::config::{OnExit, OpenrestyMode, PlanFormat};

use backchat_contract::{Manners, Policies, TcpListen};

use super::{
    Access, Common, Error, Host, Sources,
    services::policies,
    tls::{self, Tls},
};
use crate::{
    config::{self, Bind, DriverName, Text, plain},
    model::{MagicDomain, ServiceName},
};

/// What a balancer runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lb {
    /// What both daemons run by.
    pub common: Common,
    /// Who says who is there, beside gossip.
    pub sources: Sources,
    /// The data plane.
    pub plane: Plane,
    /// Where the data plane writes a line a request, if anywhere.
    pub access: Option<Access>,
    /// HTTPS, where it is spoken.
    pub tls: Option<Tls>,
    /// How clients and servers are treated.
    pub manners: Manners,
    /// What it is run for.
    pub run: Run,
    /// Whether a file that somebody else edited is written over.
    pub force: bool,
    /// Whether new structure waits until a person applies it.
    pub approve: bool,
    /// How each service is balanced.
    pub services: Policies,
    /// The service that answers where no host matches, whoever else claims it.
    pub default_service: Option<ServiceName>,
    /// Domains below which each service has a name with any address in it.
    pub magic_domains: Vec<MagicDomain>,
    /// Whether endpoints on loopback are taken: by flag, or as this node is bound to loopback itself.
    pub allow_loopback: bool,
    /// How long a service without endpoints keeps its routes.
    pub empty_service: Duration,
    /// Failures this close together are judged as one.
    pub guard_window: Duration,
    /// The longest time in which a member that comes and goes is held down; zero: never.
    pub hold_down: Duration,
}

/// The data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plane {
    /// An HAProxy of ours: file and process.
    Haproxy {
        /// How it is run.
        managed: Managed,
        /// Backends declared ahead, 0 to 1000.
        spares: u16,
    },
    /// Somebody else's HAProxy: servers of ours in its backends.
    AttachedHaproxy {
        /// Its admin socket.
        socket: PathBuf,
    },
    /// An nginx of ours: file and process.
    Nginx {
        /// How it is run.
        managed: Managed,
    },
    /// Somebody else's nginx: one file in it is ours.
    AttachedNginx(AttachedNginx),
    /// Somebody else's OpenResty, or nginx with its Lua module: one file in it is ours, and perhaps a table.
    AttachedOpenresty {
        /// Where it is.
        theirs: AttachedNginx,
        /// Whether the program was named; else it is looked for.
        is_named: bool,
        /// How it is driven.
        mode: OpenrestyMode,
    },
    /// An OpenResty of ours, or an nginx with its Lua module: file, process and table.
    Openresty {
        /// How it is run.
        managed: Managed,
        /// Whether the program was named; else it is looked for.
        is_named: bool,
        /// How it is driven.
        mode: OpenrestyMode,
    },
}

/// An nginx that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedNginx {
    /// The program that checks its configuration: a path, or a name that `$PATH` finds.
    pub program: PathBuf,
    /// The file that is ours.
    pub include: PathBuf,
    /// Its main configuration, which includes ours.
    pub conf: PathBuf,
    /// Where its master's pid stands.
    pub pid_file: PathBuf,
    /// Where our file listens for HTTP; nowhere if empty: then its other locations pass requests on.
    pub listen: Vec<SocketAddr>,
    /// A template of the operator's own; `None` for ours.
    pub template: Option<PathBuf>,
}

/// How a data plane of ours is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// The program: a path, or a name that `$PATH` finds.
    pub program: PathBuf,
    /// Where it listens for HTTP; at least one.
    pub listen: Vec<SocketAddr>,
    /// Where it listens for TCP.
    pub tcp_listen: Vec<TcpListen>,
    /// A template of the operator's own; `None` for ours.
    pub template: Option<PathBuf>,
    /// What becomes of it when the daemon ends.
    pub on_exit: OnExit,
}

impl Plane {
    /// How it is run, where it is ours.
    pub fn managed(&self) -> Option<&Managed> {
        match self {
            Self::Haproxy { managed, .. } | Self::Nginx { managed } | Self::Openresty { managed, .. } => Some(managed),
            Self::AttachedHaproxy { .. } | Self::AttachedNginx(_) | Self::AttachedOpenresty { .. } => None,
        }
    }

    /// Where it is, where it is somebody else's nginx or OpenResty.
    pub fn attached_nginx(&self) -> Option<&AttachedNginx> {
        match self {
            Self::AttachedNginx(theirs) | Self::AttachedOpenresty { theirs, .. } => Some(theirs),
            _ => None,
        }
    }

    /// The operator's own template, if there is one.
    pub fn template(&self) -> Option<&Path> {
        let ours = || self.managed().and_then(|managed| managed.template.as_deref());
        self.attached_nginx().map_or_else(ours, |theirs| theirs.template.as_deref())
    }

    /// What the driver's program is called, and the flag that names another; `None` where it is looked for.
    pub fn program(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Haproxy { .. } | Self::AttachedHaproxy { .. } => Some(("HAProxy", "--haproxy")),
            Self::Nginx { .. } | Self::AttachedNginx(_) => Some(("nginx", "--nginx")),
            Self::Openresty { is_named, .. } | Self::AttachedOpenresty { is_named, .. } => {
                is_named.then_some(("OpenResty", "--openresty"))
            }
        }
    }
}

/// What a balancer is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// To stay.
    Daemon,
    /// Until the desired set was reached once.
    Once,
    /// To show what would be done.
    DryRun {
        /// Now and no more, or whenever it changes.
        once: bool,
        /// How it is shown.
        format: PlanFormat,
    },
}

impl Lb {
    /// Checks what was configured, as a whole.
    ///
    /// # Errors
    /// Where something is missing, or two things do not go together.
    pub fn new(raw: config::Lb, host: &Host) -> Result<Self, Error> {
        let own = raw.own;
        let gossip = !own.no_gossip.unwrap_or(false);
        let common = Common::new(raw.common, host, gossip)?;
        let sources = Sources::new(&own, gossip)?;
        let run = run(&own, &common)?;
        let manners = manners(&own)?;
        listeners(&own, &common)?;
        let span = |given: Option<Text<config::Span>>, default| given.map_or(default, |Text(span)| span.0);
        Ok(Self {
            run,
            sources,
            force: own.force.unwrap_or(false),
            approve: own.approve.unwrap_or(false),
            default_service: own.default_service.clone().map(|Text(service)| service),
            magic_domains: plain(own.magic_domain.clone()).unwrap_or_default(),
            allow_loopback: own.allow_loopback.unwrap_or(false) || common.bind.ip().to_canonical().is_loopback(),
            empty_service: span(own.empty_service, Duration::from_secs(600)),
            guard_window: span(own.guard_window, Duration::from_secs(10)),
            hold_down: span(own.hold_down, Duration::from_secs(300)),
            services: services(&own)?,
            access: Access::new(&own, manners)?,
            manners,
            tls: tls::tls(&own, &common, host)?,
            plane: plane(own)?,
            common,
        })
    }
}

fn run(own: &config::LbOwn, common: &Common) -> Result<Run, Error> {
    let once = own.once.unwrap_or(false);
    match (own.dry_run.unwrap_or(false), own.format) {
        // Nobody can find it, as it is no member: it has to know whom to ask.
        (true, _) if common.gossip && common.joins.is_empty() => Err(Error::Flags(
            "--dry-run asks a member who is there: --join ADDR names one, such as the lb that runs; or --no-gossip with \
             --source file:PATH"
                .into(),
        )),
        (true, format) => Ok(Run::DryRun { once, format: format.unwrap_or_default() }),
        (false, Some(_)) => Err(Error::Flags("--format goes with --dry-run".into())),
        (false, None) => Ok(if once { Run::Once } else { Run::Daemon }),
    }
}

/// Two listeners at one address: the data plane would take both, and give each the other's connections.
fn listeners(own: &config::LbOwn, common: &Common) -> Result<(), Error> {
    let http = own.listen.iter().flatten().map(|Text(Bind(addr))| ("--listen", *addr));
    let tls = own.tls_listen.iter().flatten().map(|Text(Bind(addr))| ("--tls-listen", *addr));
    let tcp = own.tcp_listen.iter().flatten().map(|Text(tcp)| ("--tcp-listen", tcp.addr));
    let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
    if common.gossip {
        seen.push(("--bind", common.bind));
    }
    for (flag, addr) in http.chain(tls).chain(tcp) {
        let covers =
            |a: SocketAddr, b: SocketAddr| a.ip() == b.ip() || a.ip().is_unspecified() && a.is_ipv4() == b.is_ipv4();
        let other = seen.iter().find(|(_, there)| {
            addr.port() != 0 && there.port() == addr.port() && (covers(*there, addr) || covers(addr, *there))
        });
        if let Some((before, there)) = other {
            return Err(Error::Flags(format!("{flag} {addr}: {before} {there} has it already")));
        }
        seen.push((flag, addr));
    }
    Ok(())
}

/// Only a listener of ours answers as we say.
fn manners(own: &config::LbOwn) -> Result<Manners, Error> {
    let refuse = |text: &str| Err(Error::Flags(text.into()));
    match (own.hipache.unwrap_or(false), own.attach.unwrap_or(false), own.driver.unwrap_or_default()) {
        (false, ..) => Ok(Manners::Ours),
        (true, true, DriverName::Haproxy) => {
            refuse("--hipache: an attached HAProxy answers by a file of its own; without --attach it does so by ours")
        }
        (true, true, _) if own.listen.is_none() => {
            refuse("--hipache needs --listen here: without a listener of ours, your own server answers")
        }
        (true, ..) => Ok(Manners::Hipache),
    }
}

/// What a service speaks is its members' to say, and the operator's where it has a listener of its own.
fn services(own: &config::LbOwn) -> Result<Policies, Error> {
    let policies = policies(own.services.clone().unwrap_or_default())?;
    for Text(TcpListen { service, .. }) in own.tcp_listen.iter().flatten() {
        if let Some(what) = policies.get(service).http_only() {
            let why = format!("{what} is for HTTP, and --tcp-listen says that it speaks TCP");
            return Err(Error::Service(service.clone(), why));
        }
    }
    let lost = policies.iter().find(|(_, policy)| policy.redirect_https && own.tls_listen.is_none());
    if let Some((service, _)) = lost {
        return Err(Error::Service(service.clone(), "redirect-https needs --tls-listen ADDR:PORT".into()));
    }
    Ok(policies)
}

/// Where another driver's program is says nothing of this one: an environment may name them all.
fn plane(own: config::LbOwn) -> Result<Plane, Error> {
    let driver = own.driver.unwrap_or_default();
    if own.attach.unwrap_or(false) && own.tcp_listen.is_some() {
        return flags("--tcp-listen goes with a data plane of ours: without --attach");
    }
    if driver != DriverName::Openresty && own.openresty_mode.is_some() {
        return flags("--openresty-mode goes with --driver openresty");
    }
    match driver {
        DriverName::Haproxy => haproxy(own),
        DriverName::Nginx => nginx(own),
        DriverName::Openresty => openresty(own),
    }
}

fn haproxy(own: config::LbOwn) -> Result<Plane, Error> {
    if let Some((name, _)) =
        own.services.iter().flatten().find(|(_, table)| own.attach.unwrap_or(false) && table.is_of_a_plane())
    {
        let why = "an attached HAProxy's backends are its own to balance: min-ready alone can be said here";
        return Err(Error::Service(name.clone(), why.into()));
    }
    if own.nginx_include.is_some() || own.nginx_conf.is_some() || own.pid_file.is_some() {
        return flags("--nginx-include, --nginx-conf and --pid-file go with --driver nginx");
    }
    match (own.attach.unwrap_or(false), own.haproxy_socket.clone()) {
        (true, None) => flags("--attach needs --haproxy-socket PATH"),
        (false, Some(_)) => flags("--haproxy-socket goes with --attach"),
        (true, Some(_)) if own.listen.is_some() => flags("--listen: an attached HAProxy has listeners of its own"),
        (true, Some(_)) if own.template.is_some() => flags("--template: an attached HAProxy has a file of its own"),
        (true, Some(socket)) => Ok(Plane::AttachedHaproxy { socket }),
        (false, None) if own.spares.is_some_and(|n| n > 1000) => flags("--spares: use 0 to 1000"),
        (false, None) => {
            let (spares, program) = (own.spares.unwrap_or(32), own.haproxy.clone());
            Ok(Plane::Haproxy { managed: managed(own, program, "haproxy"), spares })
        }
    }
}

fn nginx(own: config::LbOwn) -> Result<Plane, Error> {
    if own.spares.is_some() {
        return flags("--spares goes with --driver haproxy: nginx reloads for a new service");
    }
    let program = own.nginx.clone();
    Ok(match attached(&own, program.as_ref(), "nginx")? {
        Some(theirs) => Plane::AttachedNginx(theirs),
        None => Plane::Nginx { managed: managed(own, program, "nginx") },
    })
}

/// Where one of somebody else's is; `None` for one of ours.
fn attached(own: &config::LbOwn, program: Option<&PathBuf>, name: &str) -> Result<Option<AttachedNginx>, Error> {
    let refuse = |text: &str| Err(Error::Flags(text.into()));
    if own.haproxy_socket.is_some() {
        return refuse("--haproxy-socket goes with --driver haproxy");
    }
    let files = (own.nginx_include.clone(), own.nginx_conf.clone(), own.pid_file.clone());
    match (own.attach.unwrap_or(false), files) {
        (false, (None, None, None)) => Ok(None),
        (false, _) => refuse("--nginx-include, --nginx-conf and --pid-file go with --attach"),
        (true, (Some(include), Some(conf), Some(pid_file))) => Ok(Some(AttachedNginx {
            program: program.cloned().unwrap_or_else(|| name.into()),
            include,
            conf,
            pid_file,
            listen: plain(own.listen.clone()).unwrap_or_default().into_iter().map(|Bind(addr)| addr).collect(),
            template: own.template.clone(),
        })),
        (true, _) => refuse("--attach needs --nginx-include FILE --nginx-conf FILE --pid-file FILE"),
    }
}

fn openresty(own: config::LbOwn) -> Result<Plane, Error> {
    if own.spares.is_some() {
        return flags("--spares goes with --driver haproxy: OpenResty takes any number of services");
    }
    let (program, mode) = (own.openresty.clone(), own.openresty_mode.unwrap_or_default());
    let is_named = program.is_some();
    Ok(match attached(&own, program.as_ref(), "openresty")? {
        Some(theirs) => Plane::AttachedOpenresty { theirs, is_named, mode },
        None => Plane::Openresty { managed: managed(own, program, "openresty"), is_named, mode },
    })
}

fn managed(own: config::LbOwn, program: Option<PathBuf>, name: &str) -> Managed {
    Managed {
        program: program.unwrap_or_else(|| name.into()),
        listen: plain(own.listen).map_or_else(
            || vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))],
            |list| list.into_iter().map(|Bind(addr)| addr).collect(),
        ),
        tcp_listen: plain(own.tcp_listen).unwrap_or_default(),
        template: own.template,
        on_exit: own.on_exit.unwrap_or_default(),
    }
}

fn flags(text: &str) -> Result<Plane, Error> {
    Err(Error::Flags(text.into()))
}
