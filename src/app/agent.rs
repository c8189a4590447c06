//! The agent: says what it offers, and on SIGTERM drains, leaves, and ends.

use std::pin::pin;

use tokio::sync::mpsc;

use super::{Daemon, Error, bridge, ended};
use crate::{
    admin,
    cluster::{Announcement, Drained, Handle},
    lifecycle::signals::Stop,
    model::{Kind, State},
    settings::Agent,
};

/// Runs until a signal or a `leave` command ends it, or until its name is lost to another.
pub async fn agent(settings: Agent) -> Result<(), Error> {
    let mut signals = Stop::new().map_err(Error::Signals)?;
    let announcement =
        Announcement { state: State::Serving, services: settings.services.clone(), tags: settings.common.tags.clone() };
    let (mut daemon, server) = Daemon::start(&settings.common, Kind::Agent, announcement.clone()).await?;
    let (sender, mut commands) = mpsc::channel(bridge::COMMANDS);
    daemon.serve(server, bridge::sources(&daemon, &settings.common, Kind::Agent, None, sender));
    tracing::info!(node = %settings.common.node, "agent runs");

    loop {
        // Cancel-safe: signals, channels and a join handle keep what was not taken.
        tokio::select! {
            signal = signals.recv() => { tracing::info!(signal, "draining, then leaving"); break; }
            error = ended(&mut daemon.cluster) => { daemon.end().await; return Err(error); }
            Some(command) = commands.recv() => {
                if serve(command, &daemon) {
                    break;
                }
            }
        }
    }
    let drained = leave(&mut daemon, &settings, announcement, signals, &mut commands).await;
    if drained.is_ok() {
        daemon.leave(settings.stop_timeout).await;
    }
    daemon.end().await;
    drained
}

/// Does what was asked; says whether the agent is to leave.
fn serve(command: admin::Command, daemon: &Daemon) -> bool {
    match command {
        admin::Command::Join { addrs, answer } => {
            daemon.tasks.spawn(bridge::join(daemon.handle.clone(), addrs, answer));
        }
        admin::Command::Leave { answer } => {
            let _nobody_waits = answer.send(());
            return true;
        }
        admin::Command::Plan { answer, .. } => {
            let _nobody_waits = answer.send(Err("an agent drives no data plane: ask a balancer".into()));
        }
        admin::Command::Release { answer, .. } => {
            let _nobody_waits = answer.send(false);
        }
    }
    false
}

/// Says that it drains, and waits until every balancer has let go. A second signal hurries; commands are still
/// answered, and a name that is lost in between is an end too.
async fn leave(
    daemon: &mut Daemon,
    settings: &Agent,
    announcement: Announcement,
    signals: Stop,
    commands: &mut mpsc::Receiver<admin::Command>,
) -> Result<(), Error> {
    daemon.stopping.cancel();
    let hurry = daemon.hurry(signals);
    let handle = daemon.handle.clone();
    let mut drain = pin!(drain(&handle, settings, announcement));
    loop {
        // Cancel-safe: the drain is polled on where it was, the others keep what was not taken.
        tokio::select! {
            () = &mut drain => return Ok(()),
            () = hurry.cancelled() => return Ok(()),
            error = ended(&mut daemon.cluster) => return Err(error),
            Some(command) = commands.recv() => { serve(command, daemon); }
        }
    }
}

async fn drain(handle: &Handle, settings: &Agent, announcement: Announcement) {
    let draining = Announcement { state: State::Draining, ..announcement };
    if let Err(error) = handle.announce(draining).await {
        tracing::warn!("failed to say that it drains: {error}");
        return;
    }
    let Drained { confirmed, missing } = handle.wait_drained(settings.drain_timeout).await;
    let confirmed: Vec<_> = confirmed.iter().map(ToString::to_string).collect();
    if missing.is_empty() {
        tracing::info!(balancers = confirmed.join(", "), "drained");
    }
    for (balancer, why) in missing {
        tracing::warn!(%balancer, "not drained within {:?}, leaving all the same: {why}", settings.drain_timeout);
    }
}
