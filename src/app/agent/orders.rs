//! Orders of operators: what they take out by hand this node says of itself from then on, until its agent ends.

use tokio::sync::mpsc;

use super::announcement::Voice;
use crate::{
    app::Daemon,
    cluster::{DrainOrder, Handle, Ordered, Wanted},
    model::{Order, State, Target},
};

/// The orders that come; none where somebody else took them.
pub(super) struct Orders(Option<mpsc::Receiver<DrainOrder>>);

impl Orders {
    pub(super) fn new(handle: &Handle) -> Self {
        Self(handle.drain_orders())
    }

    /// The next one. Cancel-safe; pending where none can come any more.
    pub(super) async fn next(&mut self) -> DrainOrder {
        match &mut self.0 {
            Some(orders) => match orders.recv().await {
                Some(order) => order,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

/// Carries an order out, and answers it: at once, or when the balancers have followed.
pub(super) async fn carry_out(order: DrainOrder, daemon: &Daemon, voice: &mut Voice<'_>) {
    let DrainOrder { wanted, answer } = order;
    match obey(&wanted, &daemon.handle, voice).await {
        Ok(()) => {
            let handle = daemon.handle.clone();
            daemon.answer(async move {
                // Whoever asked may be gone.
                let _nobody_waits = answer.send(Ok(followed(&handle, &wanted).await));
            });
        }
        Err(why) => {
            let _nobody_waits = answer.send(Err(why));
        }
    }
}

async fn obey(wanted: &Wanted, handle: &Handle, voice: &mut Voice<'_>) -> Result<(), String> {
    let me = handle.watch().borrow().me.clone();
    if let Some(service) = &wanted.service {
        me.offers_service(service).map_err(|why| why.to_string())?;
    }
    let node = me.node.parse().map_err(|_| "its name is none".to_owned())?;
    let target = Target { node, service: wanted.service.clone() };
    if voice.condition().state != State::Serving {
        // It drains as a whole, for good: more of it is done already.
        let leaves = format!("{} leaves: start its agent again", target.node);
        return if wanted.order == Order::Drain { Ok(()) } else { Err(leaves) };
    }
    let before = voice.condition().by_hand.clone();
    if !wanted.given {
        return holds(wanted, before.covers(wanted.service.as_ref()), &target);
    }
    let after = before.after(wanted.order, &target).map_err(|why| why.to_string())?;
    if after == before {
        return Ok(());
    }
    if let Err(error) = voice.change(|condition| condition.by_hand = after).await {
        // Said as before: that fitted.
        let _ended = voice.change(|condition| condition.by_hand = before).await;
        return Err(error.to_string());
    }
    match wanted.order {
        Order::Drain => tracing::info!("drained by hand: {target}"),
        Order::Undrain => tracing::info!("undrained by hand: {target}"),
    }
    Ok(())
}

/// Whether what was ordered before is so still: who waits for it must not bring it about anew.
fn holds(wanted: &Wanted, out: bool, target: &Target) -> Result<(), String> {
    match (wanted.order, out) {
        (Order::Drain, true) | (Order::Undrain, false) => Ok(()),
        (Order::Drain, false) => Err(format!("{target} serves again: it was undrained, or its agent restarted")),
        (Order::Undrain, true) => Err(format!("{target} was drained again")),
    }
}

/// What is said of this node now, and which balancers have followed in time.
async fn followed(handle: &Handle, wanted: &Wanted) -> Ordered {
    let age = handle.watch().borrow().me.age();
    let drained = match wanted.order {
        _ if wanted.wait.is_zero() => crate::cluster::Drained::default(),
        Order::Drain => handle.wait_drained(wanted.wait).await,
        Order::Undrain => handle.wait_serving(wanted.wait).await,
    };
    Ordered { age, drained }
}
