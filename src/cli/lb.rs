//! `backchat lb`: gossip, compute, drive the data plane.

use std::process::ExitCode;

use super::layers::Layers;
use crate::{
    app,
    config::{self, FileError},
    settings::{self, Host},
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
  backchat lb --attach --haproxy-socket /run/haproxy/admin.sock --key-file key
  backchat lb --join 10.0.0.7 --once --key-file key             bring its HAProxy up to date, and end
  backchat lb --bind 127.0.0.1:7946 --listen 127.0.0.1:8080     on one machine, without a key

On SIGTERM it leaves and ends its HAProxy gracefully (--on-exit keep: HAProxy serves on). SIGKILL leaves HAProxy
serving; the next lb with the same --run-dir adopts it.

Every flag may stand in the environment too: --run-dir as BACKCHAT_RUN_DIR. A flag counts more than the
environment, that more than --config FILE, where the keys are the flags' names.";

impl Flags {
    pub(super) fn settings(self) -> anyhow::Result<settings::Lb> {
        let settings = settings::Lb::new(self.layers.read()?, &Host::ask())?;
        if let settings::Plane::Managed(managed) = &settings.plane {
            files(managed)?;
        }
        Ok(settings)
    }
}

/// A template or a program that is not there is said by its flag, before anything starts.
fn files(managed: &settings::Managed) -> Result<(), FileError> {
    if let Some(path) = &managed.template {
        let wrong = |source| FileError::Template { path: path.clone(), source };
        std::fs::read_to_string(path).map_err(wrong)?;
    }
    // As execvp(3) looks: $PATH counts for a name without a slash.
    let program = &managed.program;
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let by_path = || std::env::split_paths(&folders).any(|folder| folder.join(program).is_file());
    let there = if program.components().count() == 1 { by_path() } else { program.is_file() };
    if there { Ok(()) } else { Err(FileError::NoProgram(program.clone())) }
}

pub(super) async fn run(settings: settings::Lb) -> anyhow::Result<ExitCode> {
    app::lb(settings).await?;
    Ok(ExitCode::SUCCESS)
}
