//! The agent: says what it offers, runs it where that is wanted, and on SIGTERM drains, stops it, leaves, and ends.

mod announcement;
mod commands;
mod drain;
mod local;
mod orders;

use tokio::sync::mpsc;

use self::{
    announcement::{Condition, Voice, announcement},
    local::{Event, Local},
    orders::{Orders, carry_out},
};
use super::{Daemon, Error, bridge, ended};
use crate::{
    admin,
    lifecycle::{Ending, signals::Stop},
    model::Kind,
    settings::Agent,
};

/// Runs until a signal or a `leave` command ends it, until the service it runs ends, or its name is lost to another.
/// Says how the service ended, where it runs one.
pub async fn agent(settings: Agent) -> Result<Option<Ending>, Error> {
    let signals = if settings.child.is_some() { Stop::without_hangup() } else { Stop::new() };
    let mut signals = signals.map_err(Error::Signals)?;
    let condition = Condition { health: Local::before(&settings), ..Condition::default() };
    let first = announcement(&settings, &condition);
    let (mut daemon, server) = Daemon::start(&settings.common, Kind::Agent, first).await?;
    let mut local = Local::start(&settings, &daemon)?;
    let mut voice = Voice::new(&settings, daemon.handle.clone(), condition);
    let mut orders = Orders::new(&daemon.handle);
    let (sender, mut commands) = mpsc::channel(bridge::COMMANDS);
    let sources = bridge::sources(&daemon, &settings.common, Kind::Agent, None, sender);
    daemon.serve(server, admin::Sources { health: local.watch(), ..sources });
    tracing::info!(node = %settings.common.node, "agent runs");

    let mut ending = live(&mut daemon, &mut voice, &mut local, &mut signals, (&mut commands, &mut orders)).await;
    if let Ok(None) = ending {
        let asked = (&mut commands, &mut orders);
        ending = drain::drain(&mut daemon, &settings, &mut voice, &mut local, &mut signals, asked).await;
    }
    // Whatever ails the agent, its service does not outlive it.
    let stopped = local.stop(&mut signals).await.transpose();
    if ending.is_ok() {
        daemon.leave(settings.stop_timeout).await;
    }
    daemon.end().await;
    Ok(ending?.or(stopped?))
}

/// Until it is to end, because it is asked to, or because the service did.
async fn live(
    daemon: &mut Daemon,
    voice: &mut Voice<'_>,
    local: &mut Local,
    signals: &mut Stop,
    (commands, orders): (&mut mpsc::Receiver<admin::Command>, &mut Orders),
) -> Result<Option<Ending>, Error> {
    loop {
        // Cancel-safe: signals, channels and a join handle keep what was not taken.
        tokio::select! {
            signal = signals.recv() => { tracing::info!(signal, "draining, then leaving"); return Ok(None); }
            error = ended(&mut daemon.cluster) => return Err(error),
            event = local.event() => match event {
                Event::Ended(ending) => return ending.map(Some),
                Event::Health(health) => voice.health(health).await,
            },
            order = orders.next() => carry_out(order, daemon, voice).await,
            Some(command) = commands.recv() => {
                if commands::serve(command, daemon) {
                    return Ok(None);
                }
            }
        }
    }
}
