//! The drain at the end: the node says that it drains, and waits until every balancer has let go.

use std::pin::pin;

use tokio::sync::mpsc;

use super::{
    announcement::Voice,
    commands::serve,
    local::{Event, Local},
    orders::{Orders, carry_out},
};
use crate::{
    admin,
    app::{Daemon, Error, ended},
    cluster::{Drained, Handle},
    lifecycle::{Ending, signals::Stop},
    model::State,
    settings::Agent,
};

/// Drains. A second signal hurries, and so does the end of the service, which is returned; commands are still
/// answered, and a name that is lost in between is an end too.
pub(super) async fn drain(
    daemon: &mut Daemon,
    settings: &Agent,
    voice: &mut Voice<'_>,
    local: &mut Local,
    signals: &mut Stop,
    (commands, orders): (&mut mpsc::Receiver<admin::Command>, &mut Orders),
) -> Result<Option<Ending>, Error> {
    daemon.stopping.cancel();
    if let Err(error) = voice.change(|condition| condition.state = State::Draining).await {
        tracing::warn!("failed to say that it drains: {error}");
        return Ok(None);
    }
    let handle = daemon.handle.clone();
    let mut drained = pin!(drained(&handle, settings));
    loop {
        // Cancel-safe: the drain is polled on where it was, the others keep what was not taken.
        tokio::select! {
            () = &mut drained => return Ok(None),
            signal = signals.recv() => { tracing::warn!(signal, "second signal: the drain is cut short"); return Ok(None); }
            error = ended(&mut daemon.cluster) => return Err(error),
            event = local.event() => match event {
                Event::Ended(ending) => return ending.map(Some),
                Event::Health(health) => {
                    voice.health(health).await;
                    // Nothing is there any more that could be drained.
                    if local.is_down() {
                        return Ok(None);
                    }
                }
            },
            order = orders.next() => carry_out(order, daemon, voice).await,
            Some(command) = commands.recv() => { serve(command, daemon); }
        }
    }
}

async fn drained(handle: &Handle, settings: &Agent) {
    let Drained { confirmed, missing, dropped } = handle.wait_drained(settings.drain_timeout).await;
    let confirmed: Vec<_> = confirmed.iter().map(ToString::to_string).collect();
    if missing.is_empty() {
        tracing::info!(balancers = confirmed.join(", "), "drained");
    }
    for balancer in dropped {
        tracing::warn!(%balancer, "left, its data plane with it: leaving without its word");
    }
    for (balancer, why) in missing {
        tracing::warn!(%balancer, "not drained within {:?}, leaving all the same: {why}", settings.drain_timeout);
    }
}
