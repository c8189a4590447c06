//! `backchat lb`: gossip, compute, drive the data plane.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    app,
    config::{self, Layer},
    settings::{self, Host},
};

/// Gossip beside a load balancer, and keep it in step with who is there
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Flags {
    #[command(flatten)]
    layer: config::Lb,

    /// Read flags from a TOML file
    #[arg(long, env = "BACKCHAT_CONFIG", value_name = "FILE", help_heading = "Daemon")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  backchat lb --key-file key                                    an HAProxy of its own on port 80
  backchat lb --listen 0.0.0.0:8080 --listen [::]:8080 --key-file key
  backchat lb --attach --haproxy-socket /run/haproxy/admin.sock --key-file key
  backchat lb --join 10.0.0.7 --once --key-file key             bring its HAProxy up to date, and end
  backchat lb --bind 127.0.0.1:7946 --listen 127.0.0.1:8080     on one machine, without a key

On SIGTERM it leaves and ends its HAProxy gracefully (--on-exit keep: HAProxy serves on). SIGKILL leaves HAProxy
serving; the next lb with the same --run-dir adopts it.

Every flag may stand in the environment too: --run-dir as BACKCHAT_RUN_DIR. A flag counts more than the
environment, that more than --config FILE, where the keys are the flags' names.";

impl Flags {
    pub(super) fn settings(self) -> anyhow::Result<settings::Lb> {
        let layer = match &self.config {
            Some(path) => self.layer.over(config::read(path)?),
            None => self.layer,
        };
        Ok(settings::Lb::new(layer, &Host::ask())?)
    }
}

pub(super) async fn run(settings: settings::Lb) -> anyhow::Result<ExitCode> {
    app::lb(settings).await?;
    Ok(ExitCode::SUCCESS)
}
