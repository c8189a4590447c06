//! `backchat lb`: gossip, compute, drive the data plane.

use std::{fs, path::Path, process::ExitCode, time::SystemTime};

use super::{Exit, layers::Layers, output};
use crate::{
    admin::answers::{Plan, Tagged},
    app,
    config::{self, FileError},
    drivers,
    model::Proposal,
    settings::{self, Host, PlanFormat, Run},
};

/// Gossip beside a load balancer, and keep it in step with who is there
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Flags {
    #[command(flatten)]
    layers: Layers<config::Lb>,
}

const EXAMPLES: &str = "\
Examples:
  backchat lb --key-file key                                    an HAProxy of its own on port 80
  backchat lb --listen 0.0.0.0:8080 --listen [::]:8080 --key-file key
  backchat lb --tls-listen 0.0.0.0:443 --cert /etc/backchat/certs --key-file key   HTTPS too, by a folder of certificates
  backchat lb --driver nginx --key-file key                     an nginx of its own
  backchat lb --driver nginx --attach --nginx-include /etc/nginx/conf.d/backchat.conf
    --nginx-conf /etc/nginx/nginx.conf --pid-file /run/nginx.pid --key-file key   one file in somebody's nginx
  backchat lb --driver openresty --key-file key                 an OpenResty, or an nginx with the Lua module
  backchat lb --driver openresty --attach --nginx-include /etc/nginx/conf.d/backchat.conf
    --nginx-conf /etc/nginx/nginx.conf --pid-file /run/nginx.pid --key-file key   the same, and a table by Lua
  backchat lb --attach --haproxy-socket /run/haproxy/admin.sock --key-file key
  backchat lb --join 10.0.0.7 --once --key-file key             bring its HAProxy up to date, and end
  backchat lb --no-gossip --source file:services.toml           by what a file lists alone
  backchat lb --no-gossip --source file:services.toml --dry-run --once     what would change, and nothing else
  backchat lb --join 10.0.0.2 --key-file key --dry-run --once   the same by what a member says, and it becomes none
  backchat lb --approve --key-file key                          what takes a reload waits for 'backchat apply FILE'
  backchat lb --node proxy --bind 127.0.0.1:7946 --listen 127.0.0.1:8080   on one machine, without a key

On SIGTERM it leaves and ends its data plane gracefully (--on-exit keep: that serves on). SIGKILL leaves it serving;
the next lb with the same --run-dir adopts it.

Every flag may stand in the environment too: --run-dir as BACKCHAT_RUN_DIR. A flag counts more than the
environment, that more than --config FILE, where the keys are the flags' names.";

impl Flags {
    pub(super) fn settings(self) -> anyhow::Result<settings::Lb> {
        let settings = settings::Lb::new(self.layers.read()?, &Host::ask())?;
        files(&settings.plane)?;
        Ok(settings)
    }
}

/// A file or a program that is not there is said by its flag, before anything starts.
fn files(plane: &settings::Plane) -> Result<(), FileError> {
    let named = |flag, path: &Path, source| FileError::Named { flag, path: path.to_owned(), source };
    if let Some(path) = plane.template() {
        drivers::read_template(path).map_err(|source| named("--template", path, source))?;
    }
    if let Some(theirs) = plane.attached_nginx() {
        fs::metadata(&theirs.conf).map_err(|source| named("--nginx-conf", &theirs.conf, source))?;
    }
    let (Some(managed), Some((name, flag))) = (plane.managed(), plane.program()) else { return Ok(()) };
    // As execvp(3) looks: $PATH counts for a name without a slash.
    let program = &managed.program;
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let by_path = || std::env::split_paths(&folders).any(|folder| folder.join(program).is_file());
    let there = if program.components().count() == 1 { by_path() } else { program.is_file() };
    if there { Ok(()) } else { Err(FileError::NoProgram { program: program.clone(), name, flag }) }
}

pub(super) async fn run(settings: settings::Lb) -> anyhow::Result<ExitCode> {
    if let Run::DryRun { once, format } = settings.run {
        return dry_run(&settings, once, format).await;
    }
    app::lb(settings).await?;
    Ok(ExitCode::SUCCESS)
}

/// Shows each plan that is another than the one before. The status of the one that `--once` shows is that of
/// `backchat plan`.
async fn dry_run(settings: &settings::Lb, once: bool, format: PlanFormat) -> anyhow::Result<ExitCode> {
    let (mut shown, mut printed) = (None::<Plan>, Ok(()));
    let show = |proposal: &Proposal| {
        let plan = Plan::new(settings.common.node.as_str(), proposal, SystemTime::now());
        if shown.as_ref().is_none_or(|before| before.id != plan.id) && printed.is_ok() {
            printed = print(&plan, format);
        }
        shown = Some(plan);
    };
    app::dry_run(settings, show).await?;
    printed?;
    let exit = shown.filter(|_| once).map_or(Exit::Done, |plan| super::plan::exit(&plan));
    Ok(exit.into())
}

fn print(plan: &Plan, format: PlanFormat) -> anyhow::Result<()> {
    match format {
        PlanFormat::Text => output::print(&output::plan::text(plan, true)),
        PlanFormat::Json => output::print(&(serde_json::to_string(&Tagged::from(plan.clone()))? + "\n")),
    }
}
