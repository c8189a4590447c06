//! The agent: says what it offers, and on SIGTERM drains, leaves, and ends.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

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
    leave(&daemon, &settings, announcement, signals).await;
    daemon.end().await;
    Ok(())
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

/// Says that it drains, waits until every balancer has let go, and says goodbye. A second signal hurries.
async fn leave(daemon: &Daemon, settings: &Agent, announcement: Announcement, signals: Stop) {
    daemon.stopping.cancel();
    let hurry = CancellationToken::new();
    daemon.tasks.spawn({
        let (hurry, stop) = (hurry.clone(), daemon.stop.clone());
        async move { stop.run_until_cancelled(signals.hurry(hurry)).await }
    });
    tokio::select! {
        () = drain(&daemon.handle, settings, announcement) => {}
        () = hurry.cancelled() => {}
    }
    daemon.leave(settings.stop_timeout).await;
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
