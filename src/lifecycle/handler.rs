//! Event handlers: the operator's scripts, run for what happens as Serf would run them.
//!
//! Each has a queue and a turn of its own, so that one that hangs holds up no other. Members wait in their own table:
//! what is to be told of them is the difference to it, and none is lost. User events wait in the queue, which is
//! bounded. It must not know where either comes from.

mod output;
mod run;
mod tally;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub use tally::{HandlerCounts, Tally};

use super::shell::Shell;
use crate::model::{
    NodeName, Snapshot, UserEvent,
    handlers::{Call, Change, Handler, Told, changes},
};

/// Calls that wait for a handler at most.
pub const QUEUE: usize = 1024;
/// What runs or waits when the daemon ends has so long.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// Between two words about events that were dropped.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// What a handler hears.
#[derive(Debug)]
pub struct Heard {
    /// This node.
    pub me: NodeName,
    /// The members, this node included. Closed once the node has left.
    pub members: watch::Receiver<Arc<Snapshot>>,
    /// User events.
    pub events: broadcast::Receiver<Arc<UserEvent>>,
}

/// Runs one handler, call by call, until the token is cancelled and a moment is over.
pub async fn run(handler: Handler, heard: Heard, limit: Duration, tally: Arc<Tally>, stop: CancellationToken) {
    let (queue, calls) = mpsc::channel(QUEUE);
    let (me, members) = (heard.me.clone(), heard.members.clone());
    let feeder = Feeder { handler: &handler, tally: &tally, dropped: 0, said: None };
    let work = async {
        tokio::join!(feeder.feed(heard, queue), serve(&handler, (&me, &members), calls, limit, &tally));
    };
    let end = async {
        stop.cancelled().await;
        sleep(LAST_MOMENT).await;
    };
    // Whatever runs when the moment is over is dropped, and killed by that.
    tokio::select! {
        () = work => {}
        () = end => tracing::debug!(handler = %handler.command, "ended with calls left"),
    }
    tally.waits(0);
}

async fn serve(
    handler: &Handler,
    (me, members): (&NodeName, &watch::Receiver<Arc<Snapshot>>),
    mut calls: mpsc::Receiver<Call>,
    limit: Duration,
    tally: &Tally,
) {
    while let Some(call) = calls.recv().await {
        tally.waits(calls.len());
        let own = members.borrow().members.get(me).and_then(|member| member.record.clone());
        let tags = own.map(|record| record.tags).unwrap_or_default();
        tally.ran(run::call(Shell::Bound, (me, &tags), &handler.command, &call, limit).await);
    }
}

/// Puts into a handler's queue what it is to be called for.
struct Feeder<'a> {
    handler: &'a Handler,
    tally: &'a Tally,
    /// Since it was last said.
    dropped: u64,
    said: Option<Instant>,
}

impl Feeder<'_> {
    async fn feed(mut self, heard: Heard, queue: mpsc::Sender<Call>) {
        let Heard { mut members, mut events, .. } = heard;
        let mut told = Told::default();
        let mut next: VecDeque<Change> = changes(&told, &members.borrow_and_update()).into();
        let mut is_open = true;
        while is_open || !next.is_empty() {
            // Cancel-safe: a queue's place, a watch and a broadcast keep what was not taken. In this order: what is
            // known of members was so before what is heard now.
            tokio::select! {
                biased;
                Ok(place) = queue.reserve(), if !next.is_empty() => {
                    let Some(change) = next.pop_front() else { continue };
                    told.take(&change);
                    let call = Call::Member(change);
                    if self.handler.wants(&call) {
                        place.send(call);
                    }
                }
                changed = members.changed(), if is_open => {
                    is_open = changed.is_ok();
                    next = changes(&told, &members.borrow_and_update()).into();
                }
                event = events.recv() => match event {
                    Ok(event) => self.event(&queue, Call::User(event)),
                    Err(broadcast::error::RecvError::Lagged(missed)) => self.drop(missed),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
            self.tally.waits(QUEUE - queue.capacity());
        }
    }

    /// A user event is of its moment: where there is no place for it, it is dropped.
    fn event(&mut self, queue: &mpsc::Sender<Call>, call: Call) {
        if self.handler.wants(&call) && queue.try_send(call).is_err() {
            self.drop(1);
        }
    }

    fn drop(&mut self, count: u64) {
        self.tally.dropped(count);
        self.dropped += count;
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            let (handler, dropped) = (&self.handler.command, self.dropped);
            tracing::warn!(handler, dropped, "{QUEUE} events wait for this handler: others were dropped");
            (self.said, self.dropped) = (Some(Instant::now()), 0);
        }
    }
}
