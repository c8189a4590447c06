//! What both daemons run by.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Error, Host};
use crate::{
    admin,
    cluster::{Advertise, ClusterLabel, DEFAULT_PORT, JoinAddr, Profile},
    config::{self, Bind, LogFilter, LogFormat, ProfileName, Text, plain},
    model::{NodeName, ServiceName},
};

/// What both daemons run by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// This node's name.
    pub node: NodeName,
    /// Whether it takes part in the cluster at all.
    pub gossip: bool,
    /// Where to gossip, UDP and TCP. Port 0: one that the system chooses.
    pub bind: SocketAddr,
    /// The address others use; `None`: found by the route.
    pub advertise: Option<Advertise>,
    /// Members to join by.
    pub joins: Vec<JoinAddr>,
    /// How long to try before giving up; `None`: for ever.
    pub join_timeout: Option<Duration>,
    /// Which cluster.
    pub cluster: ClusterLabel,
    /// Free tags, the reserved ones included.
    pub tags: BTreeMap<String, String>,
    /// The roles whose tag declares a service.
    pub roles: Vec<ServiceName>,
    /// What packets are sealed with.
    pub key: KeySource,
    /// Timings.
    pub profile: Profile,
    /// Sockets, pids, rendered files. May not exist yet.
    pub run_dir: PathBuf,
    /// Where the admin API is served; TCP beyond loopback only where there is a token.
    pub admin: Vec<admin::Addr>,
    /// What it asks for over TCP; `None`: nothing.
    pub admin_token_file: Option<PathBuf>,
    /// Where the epoch, the members known and the ledger are kept; `None`: nowhere.
    pub data_dir: Option<PathBuf>,
    /// What is logged.
    pub log: Log,
}

/// What packets are sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The keys in this file.
    File(PathBuf),
    /// Nothing: `--insecure`, or bound to loopback.
    Clear,
}

/// What is logged, to standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines.
    pub filter: LogFilter,
}

impl Log {
    /// Whether each line is an object for programs.
    pub fn is_json(&self) -> bool {
        self.format == LogFormat::Json
    }
}

impl Common {
    pub(super) fn new(raw: config::Common, host: &Host, gossip: bool) -> Result<Self, Error> {
        let node = node(raw.node, host)?;
        let bind = raw.bind.map_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)), |Text(Bind(bind))| bind);
        let run_dir = run_dir(raw.run_dir, &node, host)?;
        let tags = plain(raw.tag).unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
        Ok(Self {
            bind,
            advertise: raw.advertise.map(|Text(reachable)| reachable.0),
            joins: plain(raw.join).unwrap_or_default(),
            join_timeout: raw.join_timeout.map(|Text(span)| span.0),
            cluster: raw.cluster.map(|Text(label)| label).unwrap_or_default(),
            tags,
            roles: plain(raw.role).unwrap_or_else(|| vec!["web".parse().expect("three letters are a name")]),
            // Who says nothing needs nothing to seal it with.
            key: if gossip { key(raw.key_file, raw.insecure, bind)? } else { KeySource::Clear },
            profile: profile(raw.profile, bind),
            admin: admin_addrs(plain(raw.admin), &run_dir, raw.admin_token_file.is_some())?,
            admin_token_file: raw.admin_token_file,
            data_dir: raw.data_dir,
            log: Log {
                format: raw.log_format.unwrap_or_default(),
                filter: raw.log_level.map(|Text(filter)| filter).unwrap_or_default(),
            },
            gossip,
            node,
            run_dir,
        })
    }
}

fn node(given: Option<Text<NodeName>>, host: &Host) -> Result<NodeName, Error> {
    given.map_or_else(|| host.name.parse().map_err(Error::HostName), |Text(node)| Ok(node))
}

fn run_dir(given: Option<PathBuf>, node: &NodeName, host: &Host) -> Result<PathBuf, Error> {
    let default = || host.run_root().map(|root| root.join(node.as_str()));
    given.or_else(default).ok_or(Error::NoRunDir)
}

/// A key, or the word that none is wanted, unless nobody but this host can hear.
fn key(file: Option<PathBuf>, insecure: Option<bool>, bind: SocketAddr) -> Result<KeySource, Error> {
    match (file, insecure.unwrap_or(false)) {
        (Some(_), true) => Err(Error::Flags("--key-file and --insecure: choose one".into())),
        (Some(file), false) => Ok(KeySource::File(file)),
        (None, true) => Ok(KeySource::Clear),
        (None, false) if bind.ip().to_canonical().is_loopback() => Ok(KeySource::Clear),
        (None, false) => Err(Error::NoKey(bind)),
    }
}

fn profile(given: Option<ProfileName>, bind: SocketAddr) -> Profile {
    match given {
        Some(ProfileName::Local) => Profile::LOCAL,
        Some(ProfileName::Wan) => Profile::WAN,
        None if bind.ip().to_canonical().is_loopback() => Profile::LOCAL,
        Some(ProfileName::Lan) | None => Profile::LAN,
    }
}

fn admin_addrs(given: Option<Vec<admin::Addr>>, run_dir: &Path, has_token: bool) -> Result<Vec<admin::Addr>, Error> {
    let Some(given) = given else {
        let socket = format!("unix:{}", run_dir.join("admin.sock").display());
        return socket.parse().map(|addr| vec![addr]).map_err(|e| Error::AdminSocket(socket, e));
    };
    match given.iter().find(|addr| addr.is_beyond_loopback() && !has_token) {
        Some(addr) => Err(Error::AdminBeyondLoopback(addr.clone())),
        None => Ok(given),
    }
}
