//! What both daemons are told.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Bind, LogFilter, LogFormat, Reachable, Span, Tag, Text, lay};
use crate::{
    admin,
    cluster::{ClusterLabel, JoinAddr},
    model::{NodeName, ServiceName},
};

/// Which timings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProfileName {
    /// One host.
    Local,
    /// One site.
    Lan,
    /// Several sites.
    Wan,
}

/// What both daemons are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Cluster")]
#[expect(clippy::doc_markdown, reason = "clap shows these as help, where backticks are noise")]
pub struct Common {
    /// This node's name; the host name if left out
    #[arg(long, env = "BACKCHAT_NODE", value_name = "NAME")]
    pub node: Option<Text<NodeName>>,

    /// Where to gossip, UDP and TCP; 0.0.0.0:7946 if left out
    #[arg(long, env = "BACKCHAT_BIND", value_name = "ADDR:PORT")]
    pub bind: Option<Text<Bind>>,

    /// The address others reach this node at; found by the route if left out
    #[arg(long, env = "BACKCHAT_ADVERTISE", value_name = "ADDR[:PORT]")]
    pub advertise: Option<Text<Reachable>>,

    /// A member to join by, resolved anew and retried for ever [repeatable]
    #[arg(long, env = "BACKCHAT_JOIN", value_name = "ADDR[:PORT]", value_delimiter = ',')]
    pub join: Option<Vec<Text<JoinAddr>>>,

    /// Give up, with status 1, if nobody could be joined in this time
    #[arg(long, env = "BACKCHAT_JOIN_TIMEOUT", value_name = "TIME")]
    pub join_timeout: Option<Text<Span>>,

    /// Which cluster; two labels never mix; 'default' if left out
    #[arg(long, env = "BACKCHAT_CLUSTER", value_name = "LABEL")]
    pub cluster: Option<Text<ClusterLabel>>,

    /// A free tag; role=web with port=8080 declares service 'web' where no --service is given
    /// [repeatable; in the environment with ; between]
    #[arg(long, env = "BACKCHAT_TAG", value_name = "K=V", value_delimiter = ';')]
    pub tag: Option<Vec<Text<Tag>>>,

    /// The roles whose tag declares a service; 'web' if left out [repeatable]
    #[arg(long, env = "BACKCHAT_ROLE", value_name = "NAME", value_delimiter = ',')]
    pub role: Option<Vec<Text<ServiceName>>>,

    /// The cluster's keys, one a line, the first is primary; see 'backchat keygen'
    #[arg(long, env = "BACKCHAT_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Gossip in the clear, to anybody who asks
    #[arg(long, env = "BACKCHAT_INSECURE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub insecure: Option<bool>,

    /// Timings; lan if left out, local when bound to loopback
    #[arg(long, env = "BACKCHAT_PROFILE", value_name = "PROFILE")]
    pub profile: Option<ProfileName>,

    /// Sockets, pids and rendered files; /run/backchat/NODE if left out, for ordinary users below $XDG_RUNTIME_DIR
    #[arg(long, env = "BACKCHAT_RUN_DIR", value_name = "DIR", help_heading = "Daemon")]
    pub run_dir: Option<PathBuf>,

    /// Where to serve the admin API; unix:RUN_DIR/admin.sock if left out [repeatable]
    #[arg(
        long,
        env = "BACKCHAT_ADMIN",
        value_name = "unix:PATH|ADDR:PORT",
        value_delimiter = ',',
        help_heading = "Daemon"
    )]
    pub admin: Option<Vec<Text<admin::Addr>>>,

    /// What the admin API asks for over TCP, beyond loopback always: a file of one line, readable by its owner alone
    #[arg(long, env = "BACKCHAT_ADMIN_TOKEN_FILE", value_name = "FILE", help_heading = "Daemon")]
    pub admin_token_file: Option<PathBuf>,

    /// Keep the epoch, the members known and who has which route here; without it nothing is kept
    #[arg(long, env = "BACKCHAT_DATA_DIR", value_name = "DIR", help_heading = "Daemon")]
    pub data_dir: Option<PathBuf>,

    /// How log lines look; text if left out
    #[arg(long, env = "BACKCHAT_LOG_FORMAT", value_name = "FORMAT", help_heading = "Daemon")]
    pub log_format: Option<LogFormat>,

    /// error, warn, info, debug or trace, or tracing's directives; info if left out
    #[arg(long, env = "BACKCHAT_LOG_LEVEL", value_name = "LEVEL", help_heading = "Daemon")]
    pub log_level: Option<Text<LogFilter>>,
}

impl Common {
    /// This layer upon another one.
    pub(super) fn over(self, mut below: Self) -> Self {
        // The two answer one question: an answer above silences both answers below.
        if self.key_file.is_some() || self.insecure.is_some() {
            below.key_file = None;
            below.insecure = None;
        }
        lay!(self over below: node, bind, advertise, join, join_timeout, cluster, tag, role, key_file, insecure,
            profile, run_dir, admin, admin_token_file, data_dir, log_format, log_level)
    }
}
