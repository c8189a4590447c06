//! The agent: says what it offers, and on SIGTERM drains, leaves, and ends.

mod announcement;
mod commands;
mod drain;

use tokio::sync::mpsc;

use self::announcement::{Condition, Voice, announcement};
use super::{Daemon, Error, bridge, ended};
use crate::{lifecycle::signals::Stop, model::Kind, settings::Agent};

/// Runs until a signal or a `leave` command ends it, or until its name is lost to another.
pub async fn agent(settings: Agent) -> Result<(), Error> {
    let mut signals = Stop::new().map_err(Error::Signals)?;
    let condition = Condition::default();
    let first = announcement(&settings, &condition);
    let (mut daemon, server) = Daemon::start(&settings.common, Kind::Agent, first).await?;
    let mut voice = Voice::new(&settings, daemon.handle.clone(), condition);
    let (sender, mut commands) = mpsc::channel(bridge::COMMANDS);
    daemon.serve(server, bridge::sources(&daemon, &settings.common, Kind::Agent, None, sender));
    tracing::info!(node = %settings.common.node, "agent runs");

    loop {
        // Cancel-safe: signals, channels and a join handle keep what was not taken.
        tokio::select! {
            signal = signals.recv() => { tracing::info!(signal, "draining, then leaving"); break; }
            error = ended(&mut daemon.cluster) => { daemon.end().await; return Err(error); }
            Some(command) = commands.recv() => {
                if commands::serve(command, &daemon) {
                    break;
                }
            }
        }
    }
    let drained = drain::drain(&mut daemon, &settings, &mut voice, signals, &mut commands).await;
    if drained.is_ok() {
        daemon.leave(settings.stop_timeout).await;
    }
    daemon.end().await;
    drained
}
