//! What a balancer runs by.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use crate::config::OnExit;

use super::{Common, Error, Host};
use crate::{
    config::{self, Bind, DriverName, Text, plain},
    model::ServiceName,
};

/// What a balancer runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lb {
    /// What both daemons run by.
    pub common: Common,
    /// The data plane.
    pub plane: Plane,
    /// What it is run for.
    pub run: Run,
    /// Whether a file that somebody else edited is written over.
    pub force: bool,
    /// The service that answers where no host matches, whoever else claims it.
    pub default_service: Option<ServiceName>,
    /// Whether endpoints on loopback are taken: by flag, or as this node is bound to loopback itself.
    pub allow_loopback: bool,
    /// How long a service without endpoints keeps its routes.
    pub empty_service: Duration,
    /// Failures this close together are judged as one.
    pub guard_window: Duration,
    /// The longest time in which a member that comes and goes is held down; zero: never.
    pub hold_down: Duration,
}

/// The data plane: an HAProxy of ours or of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Ours: file and process.
    Managed(Managed),
    /// Somebody else's: servers of ours in its backends.
    Attached {
        /// Its admin socket.
        socket: PathBuf,
    },
}

/// How an HAProxy of ours is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// The program: a path, or a name that `$PATH` finds.
    pub program: PathBuf,
    /// Where it listens for HTTP; at least one.
    pub listen: Vec<SocketAddr>,
    /// A template of the operator's own; `None` for ours.
    pub template: Option<PathBuf>,
    /// Backends declared ahead, 0 to 1000.
    pub spares: u16,
    /// What becomes of it when the daemon ends.
    pub on_exit: OnExit,
}

/// What a balancer is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// To stay.
    Daemon,
    /// Until the desired set was reached once.
    Once,
}

impl Lb {
    /// Checks what was configured, as a whole.
    ///
    /// # Errors
    /// Where something is missing, or two things do not go together.
    pub fn new(raw: config::Lb, host: &Host) -> Result<Self, Error> {
        let common = Common::new(raw.common, host)?;
        let own = raw.own;
        if own.driver.unwrap_or_default() != DriverName::Haproxy {
            return Err(Error::NotYet("--driver", "haproxy is the only one"));
        }
        if own.dry_run.unwrap_or(false) {
            return Err(Error::NotYet("--dry-run", "ask the running daemon: backchat plan"));
        }
        let span = |given: Option<Text<config::Span>>, default| given.map_or(default, |Text(span)| span.0);
        Ok(Self {
            run: if own.once.unwrap_or(false) { Run::Once } else { Run::Daemon },
            force: own.force.unwrap_or(false),
            default_service: own.default_service.clone().map(|Text(service)| service),
            allow_loopback: own.allow_loopback.unwrap_or(false) || common.bind.ip().to_canonical().is_loopback(),
            empty_service: span(own.empty_service, Duration::from_secs(600)),
            guard_window: span(own.guard_window, Duration::from_secs(10)),
            hold_down: span(own.hold_down, Duration::from_secs(300)),
            plane: plane(own)?,
            common,
        })
    }
}

fn plane(own: config::LbOwn) -> Result<Plane, Error> {
    let flags = |text: &str| Err(Error::Flags(text.into()));
    match (own.attach.unwrap_or(false), own.haproxy_socket) {
        (true, None) => flags("--attach needs --haproxy-socket PATH"),
        (false, Some(_)) => flags("--haproxy-socket goes with --attach"),
        (true, Some(_)) if own.listen.is_some() => flags("--listen: an attached HAProxy has listeners of its own"),
        (true, Some(_)) if own.template.is_some() => flags("--template: an attached HAProxy has a file of its own"),
        (true, Some(socket)) => Ok(Plane::Attached { socket }),
        (false, None) if own.spares.is_some_and(|n| n > 1000) => flags("--spares: use 0 to 1000"),
        (false, None) => Ok(Plane::Managed(Managed {
            program: own.haproxy.unwrap_or_else(|| "haproxy".into()),
            listen: plain(own.listen).map_or_else(
                || vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))],
                |list| list.into_iter().map(|Bind(addr)| addr).collect(),
            ),
            template: own.template,
            spares: own.spares.unwrap_or(32),
            on_exit: own.on_exit.unwrap_or_default(),
        })),
    }
}
