//! What an agent is told.

use serde::Deserialize;

use super::{Common, Layer, Offer, Span, Text, lay};
use crate::{
    lifecycle::{Restart, SignalName, Target},
    model::{HostPattern, PathPrefix},
};

/// What an agent is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Agent {
    /// What both daemons are told.
    #[command(flatten)]
    pub common: Common,

    /// What the agent alone is told.
    #[command(flatten)]
    pub own: Own,
}

/// What the agent alone is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Service")]
pub struct Own {
    /// A service on this node: NAME:PORT[,host=HOST][,path=PATH][,weight=N][,protocol=http|tcp][,check=CHECK]
    /// [repeatable, host= too; in the environment with ; between]
    #[arg(long, env = "BACKCHAT_SERVICE", value_name = "SERVICE", value_delimiter = ';')]
    pub service: Option<Vec<Offer>>,

    /// A host that the only service answers: exact, *.example.com or * [repeatable]
    #[arg(long, env = "BACKCHAT_HOST", value_name = "HOST", value_delimiter = ',')]
    pub host: Option<Vec<Text<HostPattern>>>,

    /// The path that the only service answers
    #[arg(long, env = "BACKCHAT_PATH", value_name = "PATH")]
    pub path: Option<Text<PathPrefix>>,

    /// The only service's share of the traffic, 0 to 256
    #[arg(long, env = "BACKCHAT_WEIGHT", value_name = "N")]
    pub weight: Option<u32>,

    /// Offer the only service while this passes: tcp://HOST:PORT, http://HOST:PORT/PATH (2xx or 3xx) or
    /// exec:COMMAND (status 0); host and port default to the service's
    #[arg(long, env = "BACKCHAT_CHECK", value_name = "CHECK")]
    pub check: Option<Text<Target>>,

    /// From one check to the next; 1s if left out
    #[arg(long, env = "BACKCHAT_CHECK_INTERVAL", value_name = "TIME")]
    pub check_interval: Option<Text<Span>>,

    /// How long an answer to a check may take; 2s if left out
    #[arg(long, env = "BACKCHAT_CHECK_TIMEOUT", value_name = "TIME")]
    pub check_timeout: Option<Text<Span>>,

    /// Passes in a row until a service is offered; 1 if left out
    #[arg(long, env = "BACKCHAT_CHECK_RISE", value_name = "N")]
    pub check_rise: Option<u32>,

    /// Failures in a row until it is withdrawn; 2 if left out
    #[arg(long, env = "BACKCHAT_CHECK_FALL", value_name = "N")]
    pub check_fall: Option<u32>,

    /// How long balancers may take to let go of this node's requests when it leaves; 5s if left out
    #[arg(long, env = "BACKCHAT_DRAIN_TIMEOUT", value_name = "TIME")]
    pub drain_timeout: Option<Text<Span>>,

    /// How long COMMAND may take to stop after the drain, and then the goodbye; 5s if left out
    #[arg(long, env = "BACKCHAT_STOP_TIMEOUT", value_name = "TIME")]
    pub stop_timeout: Option<Text<Span>>,

    /// What asks COMMAND to stop; TERM if left out
    #[arg(long, env = "BACKCHAT_STOP_SIGNAL", value_name = "SIGNAL")]
    pub stop_signal: Option<Text<SignalName>>,

    /// What to do when COMMAND ends by itself: end as it did, or start it again; no if left out
    #[arg(long, env = "BACKCHAT_RESTART", value_name = "WHEN")]
    pub restart: Option<Restart>,

    /// The service itself, run in the foreground as a child; it never outlives the agent
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Option<Vec<String>>,
}

impl Own {
    fn over(self, mut below: Self) -> Self {
        // A service of its own is not dressed in what a lower layer said of another one.
        if self.service.is_some() {
            (below.host, below.path, below.weight, below.check) = (None, None, None, None);
        }
        lay!(self over below: service, host, path, weight, check, check_interval, check_timeout,
            check_rise, check_fall, drain_timeout, stop_timeout, stop_signal, restart, command)
    }
}

impl Layer for Agent {
    fn over(self, below: Self) -> Self {
        Self { common: self.common.over(below.common), own: self.own.over(below.own) }
    }

    fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { common: toml::from_str(text)?, own: toml::from_str(text)? })
    }
}
