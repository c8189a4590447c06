//! What a balancer is told.

use std::{collections::BTreeMap, path::PathBuf};

use backchat_contract::TcpListen;
use serde::Deserialize;

use super::{Bind, Common, Layer, ServiceTable, Source, Span, Text, lay, source};
use crate::model::{LogFormat as AccessFormat, MagicDomain, ServiceName};

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
    /// nginx, by its file and reloads.
    Nginx,
    /// OpenResty, or an nginx with its Lua module: endpoints and routes at run time.
    Openresty,
}

/// How OpenResty is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OpenrestyMode {
    /// By Lua: endpoints and routes change without a reload.
    #[default]
    Lua,
    /// As nginx, by its file and reloads.
    Reload,
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

/// How a dry run shows its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PlanFormat {
    /// As 'backchat plan' does, for people.
    #[default]
    Text,
    /// As the admin API answers.
    Json,
}

/// What the balancer alone is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data plane")]
#[expect(clippy::doc_markdown, reason = "clap shows these as help, where backticks are noise")]
pub struct Own {
    /// Which data plane; haproxy if left out
    #[arg(long, env = "BACKCHAT_DRIVER", value_name = "DRIVER")]
    pub driver: Option<DriverName>,

    /// Where the data plane listens for HTTP; 0.0.0.0:80 if left out [repeatable]
    #[arg(long, env = "BACKCHAT_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub listen: Option<Vec<Text<Bind>>>,

    /// Where the data plane listens for the connections of one service that speaks TCP [repeatable]
    #[arg(long, env = "BACKCHAT_TCP_LISTEN", value_name = "ADDR:PORT=SERVICE", value_delimiter = ',')]
    pub tcp_listen: Option<Vec<Text<TcpListen>>>,
    /// Where the data plane listens for HTTPS, by the certificates of --cert or --self-signed [repeatable]
    #[arg(long, env = "BACKCHAT_TLS_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub tls_listen: Option<Vec<Text<Bind>>>,

    /// A certificate: a PEM file of chain and key, or a folder of such, also of NAME.crt beside NAME.key, or of
    /// fullchain.pem and privkey.pem; followed [repeatable]
    #[arg(long, env = "BACKCHAT_CERT", value_name = "PATH", value_delimiter = ',')]
    pub cert: Option<Vec<PathBuf>>,

    /// Sign a certificate, for localhost and this node, and show it where no other is for a name
    #[arg(long, env = "BACKCHAT_SELF_SIGNED", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub self_signed: Option<bool>,

    /// The haproxy program; found by $PATH if left out
    #[arg(long, env = "BACKCHAT_HAPROXY", value_name = "PROGRAM")]
    pub haproxy: Option<PathBuf>,

    /// The nginx program; found by $PATH if left out
    #[arg(long, env = "BACKCHAT_NGINX", value_name = "PROGRAM")]
    pub nginx: Option<PathBuf>,

    /// The openresty program, or an nginx with the Lua module; the first that is found if left out
    #[arg(long, env = "BACKCHAT_OPENRESTY", value_name = "PROGRAM")]
    pub openresty: Option<PathBuf>,

    /// How OpenResty is driven; lua if left out
    #[arg(long, env = "BACKCHAT_OPENRESTY_MODE", value_name = "MODE")]
    pub openresty_mode: Option<OpenrestyMode>,

    /// Drive a data plane that somebody else runs. HAProxy: only servers named bc-…, only in backends named after a
    /// service; nginx and OpenResty: only one file
    #[arg(long, env = "BACKCHAT_ATTACH", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub attach: Option<bool>,

    /// The admin socket of the HAProxy to attach to
    #[arg(long, env = "BACKCHAT_HAPROXY_SOCKET", value_name = "PATH")]
    pub haproxy_socket: Option<PathBuf>,

    /// The file of ours in the nginx to attach to: an include of its http block
    #[arg(long, env = "BACKCHAT_NGINX_INCLUDE", value_name = "FILE")]
    pub nginx_include: Option<PathBuf>,

    /// The main configuration of the nginx to attach to
    #[arg(long, env = "BACKCHAT_NGINX_CONF", value_name = "FILE")]
    pub nginx_conf: Option<PathBuf>,

    /// The pid file of the nginx to attach to
    #[arg(long, env = "BACKCHAT_PID_FILE", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// A template of your own for the data plane's file, read again whenever it changes; see 'backchat template'
    #[arg(long, env = "BACKCHAT_TEMPLATE", value_name = "FILE")]
    pub template: Option<PathBuf>,

    /// A file that the data plane writes a line a request to; none if left out
    #[arg(long, env = "BACKCHAT_ACCESS_LOG", value_name = "FILE")]
    pub access_log: Option<PathBuf>,

    /// What such a line says: combined, common, json, hipache, or a format in Apache's notation; combined if left out,
    /// with --hipache that
    #[arg(long, env = "BACKCHAT_ACCESS_LOG_FORMAT", value_name = "FORMAT")]
    pub access_log_format: Option<Text<AccessFormat>>,

    /// Answer as Hipache does: 400 for an unknown host, 502 where nobody answers, X-Debug and all that the README lists
    #[arg(long, env = "BACKCHAT_HIPACHE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub hipache: Option<bool>,

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

    /// New structure, which takes a reload, waits until 'backchat apply FILE'; endpoints flow
    #[arg(long, env = "BACKCHAT_APPROVE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub approve: Option<bool>,

    /// Show what would be done whenever it changes, and do nothing; with --once show it now, status 2 where there is
    /// something. The members at --join are asked who is there, and it does not become one
    #[arg(long, env = "BACKCHAT_DRY_RUN", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub dry_run: Option<bool>,

    /// How a dry run shows it; text if left out
    #[arg(long, short = 'o', env = "BACKCHAT_FORMAT", value_name = "FORMAT")]
    pub format: Option<PlanFormat>,

    /// Who else says who is there, followed: a file that lists services, in TOML, JSON or YAML (file:PATH), or Hipache's
    /// keys in a Redis (redis://HOST, rediss:// over TLS) or an etcd (etcd://HOST, etcds://) [repeatable]
    #[arg(long, env = "BACKCHAT_SOURCE", value_name = "URI", value_delimiter = ',', help_heading = "Sources")]
    #[serde(default, deserialize_with = "source::list")]
    pub source: Option<Vec<Source>>,

    /// Switch a Redis's keyspace notifications on (CONFIG SET notify-keyspace-events), where they are off: else its keys
    /// are read every 2 seconds
    #[arg(long, env = "BACKCHAT_REDIS_NOTIFY", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, help_heading = "Sources")]
    pub redis_notify: Option<bool>,

    /// Mark backends of Hipache's keys that the data plane finds failing: in dead:HOST for 30 seconds, for all who read
    /// the same keys
    #[arg(long, env = "BACKCHAT_HIPACHE_MARK_DEAD", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, help_heading = "Sources")]
    pub hipache_mark_dead: Option<bool>,

    /// Take part in no cluster: the sources alone say who is there
    #[arg(long, env = "BACKCHAT_NO_GOSSIP", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, help_heading = "Sources")]
    pub no_gossip: Option<bool>,

    /// End once the desired set was reached; the data plane serves on
    #[arg(long, env = "BACKCHAT_ONCE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true)]
    pub once: Option<bool>,

    /// The service that answers where no host matches, whoever else claims it
    #[arg(long, env = "BACKCHAT_DEFAULT_SERVICE", value_name = "NAME", help_heading = "Policy")]
    pub default_service: Option<Text<ServiceName>>,

    /// A domain whose names carry addresses, like nip.io: each service answers at NAME.ADDRESS.DOMAIN [repeatable]
    #[arg(long, env = "BACKCHAT_MAGIC_DOMAIN", value_name = "DOMAIN", value_delimiter = ',', help_heading = "Policy")]
    pub magic_domain: Option<Vec<Text<MagicDomain>>>,

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

    /// How each service is balanced: tables of a file, no flags.
    #[arg(skip)]
    pub services: Option<BTreeMap<ServiceName, ServiceTable>>,
}

impl Own {
    fn over(self, below: Self) -> Self {
        lay!(self over below: driver, listen, tcp_listen, tls_listen, cert, self_signed, haproxy, nginx, openresty,
            openresty_mode, attach, haproxy_socket, nginx_include, nginx_conf, pid_file, template, access_log,
            access_log_format, hipache, spares, on_exit, force, approve, dry_run, format, source, redis_notify,
            hipache_mark_dead, no_gossip, once, default_service, magic_domain, allow_loopback, empty_service, guard_window,
            hold_down, services)
    }
}

impl Layer for Lb {
    const TABLES: &'static [&'static str] = &["services"];

    fn over(self, below: Self) -> Self {
        Self { common: self.common.over(below.common), own: self.own.over(below.own) }
    }

    fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { common: toml::from_str(text)?, own: toml::from_str(text)? })
    }
}
