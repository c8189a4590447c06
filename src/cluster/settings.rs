//! What a node of the cluster is told when it starts.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{join::JoinAddr, keyring::Keyring, label::ClusterLabel, profile::Profile, transport::Advertise};
use crate::model::{Kind, NodeName};

/// What a node of the cluster is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, which no other living node may have.
    pub node: NodeName,
    /// What it is.
    pub kind: Kind,
    /// Where it listens, over UDP and TCP; port 0 finds one that is free for both.
    pub bind: SocketAddr,
    /// The address that others use; found by the route where `None`.
    pub advertise: Option<Advertise>,
    /// Whom to join by. Each is tried for ever, until it is a living member.
    pub join: Vec<JoinAddr>,
    /// When to give up, where none of `join` has been reached until then.
    pub join_timeout: Option<Duration>,
    /// Which cluster.
    pub label: ClusterLabel,
    /// The keys; `None` sends and takes everything in the clear.
    pub keyring: Option<Keyring>,
    /// The timings.
    pub profile: Profile,
    /// Where the epoch and the members are kept; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}
