//! `backchat lb`: gossip, compute, drive the data plane; or show what would be done.

use std::{path::PathBuf, process::ExitCode, time::SystemTime};

use super::{Exit, connection::Format, output, plan};
use crate::{
    admin::answers::{Plan, Tagged},
    app,
    config::{self, Layer},
    model::Proposal,
    settings::{self, Host, Run},
};

/// Gossip beside a load balancer, and keep it in step with who is there
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Flags {
    #[command(flatten)]
    layer: config::Lb,

    #[command(flatten)]
    show: Show,

    /// A TOML file whose keys are these flags' names; a flag or $BACKCHAT_… counts more
    #[arg(long, env = "BACKCHAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How `--dry-run` shows a plan.
#[derive(clap::Args)]
pub(super) struct Show {
    /// How --dry-run shows the plan
    #[arg(long, short = 'o', value_enum, default_value_t, help_heading = "Data plane")]
    format: Format,

    /// With --dry-run: long diffs and command lists in full
    #[arg(long, help_heading = "Data plane")]
    full: bool,
}

const EXAMPLES: &str = "\
Examples:
  backchat lb --key-file key                                    an HAProxy of its own on port 80
  backchat lb --listen 0.0.0.0:8080 --listen [::]:8080 --key-file key
  backchat lb --attach --haproxy-socket /run/haproxy/admin.sock --key-file key
  backchat lb --join 10.0.0.7 --dry-run --once --key-file key   what it would do; status 2 where there is something
  backchat lb --bind 127.0.0.1:7946 --listen 127.0.0.1:8080     on one machine, without a key

On SIGTERM it leaves and ends its HAProxy gracefully (--on-exit keep: HAProxy serves on). SIGKILL leaves HAProxy
serving; the next lb with the same --run-dir adopts it.";

impl Flags {
    pub(super) fn settings(self) -> anyhow::Result<(settings::Lb, Show)> {
        let layer = match &self.config {
            Some(path) => self.layer.over(config::read(path)?),
            None => self.layer,
        };
        Ok((settings::Lb::new(layer, &Host::ask())?, self.show))
    }
}

pub(super) async fn run(settings: settings::Lb, show: Show) -> anyhow::Result<ExitCode> {
    match settings.run {
        Run::Daemon | Run::Once => app::lb(settings).await,
        Run::DryRun | Run::DryRunOnce => dry_run(settings, show).await.map(ExitCode::from),
    }
}

/// Prints each plan that says something else than the one before.
async fn dry_run(settings: settings::Lb, show: Show) -> anyhow::Result<Exit> {
    let node = settings.common.node.clone();
    let mut last: Option<(String, Exit)> = None;
    app::dry_run(settings, |proposal: &Proposal| {
        let plan = Plan::new(node.as_str(), proposal, SystemTime::now());
        if last.as_ref().is_some_and(|(id, _)| *id == plan.id) {
            return Ok(());
        }
        last = Some((plan.id.clone(), plan::exit(&plan)));
        output::print(&match show.format {
            Format::Json => serde_json::to_string(&Tagged::from(plan))? + "\n",
            Format::Text | Format::Wide => output::plan::text(&plan, show.full),
        })
    })
    .await?;
    Ok(last.map_or(Exit::Done, |(_, exit)| exit))
}
