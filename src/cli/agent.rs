//! `backchat agent`: gossip beside a service.

use std::process::ExitCode;

use super::layers::Layers;
use crate::{
    app, config,
    settings::{self, Host},
};

/// Gossip beside a service: tell every balancer where it is, and take it out before it ends
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Flags {
    #[command(flatten)]
    layers: Layers<config::Agent>,
}

const EXAMPLES: &str = "\
Examples:
  backchat agent --join proxy --service web:8080 --key-file key
  backchat agent --join proxy --service web:8080,host=www.example.com,weight=50 --insecure
  backchat agent --join proxy --tag role=web --tag port=8080 --insecure       as with Serf
  backchat agent --node web1 --bind 127.0.0.1:7950 --join 127.0.0.1 --service web:8081
                                                     on one machine, without a key; the balancer: 'backchat lb --help'
  backchat agent --join proxy --service web:80 --key-file key -- nginx -g 'daemon off;'
  backchat agent --service web:80 --check http:///ok --restart on-failure --insecure -- my-server

On SIGTERM it drains, leaves and ends; balancers lose no request. SIGKILL is noticed as a crash.

COMMAND is the service itself, in the foreground, standard input empty. On SIGTERM it serves until the
balancers have let go; then it is stopped, and the agent ends with its status (128 and the signal's number).
When it ends by itself it is withdrawn at once, and the agent ends likewise, unless --restart says otherwise:
after 100ms, doubled up to 30s. SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are handed on. Without --check it is
offered once its port takes a connect. Neither it nor what it forks outlives the agent, not even by SIGKILL.

An exec: check is a line for /bin/sh; within --service it holds no comma. In a file, [[service]] takes
check = 'exec:…', and command = ['nginx', '-g', 'daemon off;'] is COMMAND.

Every flag may stand in the environment too: --run-dir as BACKCHAT_RUN_DIR. A flag counts more than the
environment, that more than --config FILE, where the keys are the flags' names.";

impl Flags {
    pub(super) fn settings(self) -> anyhow::Result<settings::Agent> {
        Ok(settings::Agent::new(self.layers.read()?, &Host::ask())?)
    }
}

pub(super) async fn run(settings: settings::Agent) -> anyhow::Result<ExitCode> {
    let service = app::agent(settings).await?;
    Ok(service.map_or(ExitCode::SUCCESS, |ending| ending.code().into()))
}
