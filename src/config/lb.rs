//! What a balancer is told.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Bind, Common, Layer, Span, Text, lay};
use crate::model::ServiceName;

/// What a balancer is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Lb {
    /// What both daemons are told.
    #[command(flatten)]
    pub common: Common,

    /// What the balancer alone is told.
    #[command(flatten)]
    pub own: Own,
}

/// Which data plane is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DriverName {
    /// HAProxy, over its runtime socket.
    #[default]
    Haproxy,
    /// nginx; not yet.
    #[value(hide = true)]
    Nginx,
    /// OpenResty; not yet.
    #[value(hide = true)]
    Openresty,
}

/// What becomes of a managed data plane when the daemon ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnExit {
    /// It is ended gracefully.
    #[default]
    Stop,
    /// It serves on; the next daemon on the same run folder adopts it.
    Keep,
}

/// What the balancer alone is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data plane")]
pub struct Own {
    /// Which data plane; haproxy if left out
    #[arg(long, env = "BACKCHAT_DRIVER", value_name = "DRIVER")]
    pub driver: Option<DriverName>,

    /// Where the data plane listens for HTTP; 0.0.0.0:80 if left out [repeatable]
    #[arg(long, env = "BACKCHAT_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub listen: Option<Vec<Text<Bind>>>,

    /// The haproxy program; found by $PATH if left out
    #[arg(long, env = "BACKCHAT_HAPROXY", value_name = "PROGRAM")]
    pub haproxy: Option<PathBuf>,

    /// Drive an HAProxy that somebody else runs: only servers named bc-…, only in backends named after a service
    #[arg(long, env = "BACKCHAT_ATTACH", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub attach: Option<bool>,

    /// The admin socket of the HAProxy to attach to
    #[arg(long, env = "BACKCHAT_HAPROXY_SOCKET", value_name = "PATH")]
    pub haproxy_socket: Option<PathBuf>,

    /// A template of your own for the data plane's file
    #[arg(long, env = "BACKCHAT_TEMPLATE", value_name = "FILE")]
    pub template: Option<PathBuf>,

    /// Backends declared ahead for services to come, which then need no reload; 32 if left out
    #[arg(long, env = "BACKCHAT_SPARES", value_name = "N")]
    pub spares: Option<u16>,

    /// What becomes of the data plane when this daemon ends; stop if left out
    #[arg(long, env = "BACKCHAT_ON_EXIT", value_name = "WHAT")]
    pub on_exit: Option<OnExit>,

    /// Write over a file that somebody else has edited
    #[arg(long, env = "BACKCHAT_FORCE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub force: Option<bool>,

    /// Not yet: 'backchat plan' asks the running daemon
    #[arg(long, hide = true, env = "BACKCHAT_DRY_RUN", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub dry_run: Option<bool>,

    /// End once the desired set was reached; HAProxy serves on
    #[arg(long, env = "BACKCHAT_ONCE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub once: Option<bool>,

    /// The service that answers where no host matches, whoever else claims it
    #[arg(long, env = "BACKCHAT_DEFAULT_SERVICE", value_name = "NAME", help_heading = "Policy")]
    pub default_service: Option<Text<ServiceName>>,

    /// Take endpoints on loopback addresses; taken anyway while this node is bound to loopback
    #[arg(long, env = "BACKCHAT_ALLOW_LOOPBACK", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, help_heading = "Policy")]
    pub allow_loopback: Option<bool>,

    /// How long a service that lost its last endpoint answers 503 before its routes go; 10m if left out
    #[arg(long, env = "BACKCHAT_EMPTY_SERVICE", value_name = "TIME", help_heading = "Policy")]
    pub empty_service: Option<Text<Span>>,

    /// Failures this close together are judged as one by the guard; 10s if left out
    #[arg(long, env = "BACKCHAT_GUARD_WINDOW", value_name = "TIME", help_heading = "Policy")]
    pub guard_window: Option<Text<Span>>,

    /// The longest time in which a member that comes and goes is held down, 0s for never; 5m if left out
    #[arg(long, env = "BACKCHAT_HOLD_DOWN", value_name = "TIME", help_heading = "Policy")]
    pub hold_down: Option<Text<Span>>,
}

impl Own {
    fn over(self, below: Self) -> Self {
        lay!(self over below: driver, listen, haproxy, attach, haproxy_socket, template, spares, on_exit, force,
            dry_run, once, default_service, allow_loopback, empty_service, guard_window, hold_down)
    }
}

impl Layer for Lb {
    fn over(self, below: Self) -> Self {
        Self { common: self.common.over(below.common), own: self.own.over(below.own) }
    }

    fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { common: toml::from_str(text)?, own: toml::from_str(text)? })
    }
}
