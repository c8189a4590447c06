//! Orders of operators at the daemon that was asked, agent or balancer: judged by what it knows, then handed to the
//! node that they are about.

use tokio::sync::oneshot;

use crate::{
    admin::{Followed, Ordering},
    cluster::{Handle, OrderError, Ordered, Wanted},
    model::{Obstacle, Order, Snapshot},
};

/// Does it, and answers. A place of its own for it: the node may be slow.
pub(super) async fn order(handle: Handle, ordering: Ordering, answer: oneshot::Sender<Result<Followed, Obstacle>>) {
    let told = carry(&handle, ordering).await;
    // Whoever asked may be gone.
    let _nobody_waits = answer.send(told);
}

async fn carry(handle: &Handle, ordering: Ordering) -> Result<Followed, Obstacle> {
    let snapshot = handle.watch().borrow().snapshot.clone();
    let last = judge(&ordering, &snapshot)?;
    let Ordering { target, order, given, wait, .. } = ordering;
    let wanted = Wanted { order, given, service: target.service, wait };
    let ordered = handle.order(&target.node, wanted).await.map_err(|error| match error {
        OrderError::Refused(why) => Obstacle::Conflict(why),
        OrderError::Unreached(why) => Obstacle::Unreached(why),
    })?;
    let Ordered { age, drained } = ordered;
    Ok(Followed { age, confirmed: drained.confirmed, missing: drained.missing, last })
}

/// The services that are without a ready endpoint after it; an obstacle, unless that is wanted.
fn judge(ordering: &Ordering, snapshot: &Snapshot) -> Result<Vec<String>, Obstacle> {
    let Ordering { target, order, given, force, .. } = ordering;
    target.check(snapshot)?;
    if !given || *order == Order::Undrain {
        return Ok(Vec::new());
    }
    let last: Vec<_> = target.last_ones(snapshot).into_iter().collect();
    if last.is_empty() || *force {
        return Ok(last);
    }
    let (node, services) = (&target.node, last.join(", "));
    let why = format!(
        "{node} is the last that serves {services}: without it requests get 503, or 502 by --hipache; --force drains it still"
    );
    Err(Obstacle::Conflict(why))
}
