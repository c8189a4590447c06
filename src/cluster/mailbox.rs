//! What may be asked of the task that owns the node: the only way in, for the handle and for the IO.

use std::{collections::BTreeSet, net::SocketAddr};

use tokio::sync::{mpsc, oneshot};

use super::{
    Announcement,
    error::Error,
    exchange::Exchange,
    identity::Identity,
    node::{Known, Outcome},
};
use crate::model::NodeName;

/// How many messages wait at most; who sends more waits itself.
const WAITING: usize = 256;

/// One message to the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Say something else of this node; answered with the version.
    Announce(Announcement, oneshot::Sender<Result<u64, Error>>),
    /// Leave; answered once that is told.
    Leave(oneshot::Sender<()>),
    /// What is known of the name of this node-to-be.
    Known(Identity, oneshot::Sender<Option<Known>>),
    /// This node's name was known in a later life: begin one above it, where that is still possible.
    Outlive(u64, oneshot::Sender<()>),
    /// The opening of an exchange, to be sent.
    Open(oneshot::Sender<Exchange>),
    /// All that this node knows, for one who only looks on.
    Everything(oneshot::Sender<Exchange>),
    /// An opening that came; answered with the answer.
    Opening(Exchange, oneshot::Sender<Exchange>),
    /// An answer that came; answered with the remainder.
    Answer(Exchange, oneshot::Sender<Exchange>),
    /// A remainder that came.
    Remainder(Exchange),
    /// What came of asking a suspect.
    Asked(Identity, Outcome),
    /// Whose checks by the data plane fail.
    Failing(BTreeSet<NodeName>),
    /// Where this node is reached from now on.
    Moved(SocketAddr),
    /// This node's name is another's, or nobody could be joined in time.
    GiveUp(Error),
}

/// Where commands are put.
#[derive(Clone, Debug)]
pub(super) struct Mailbox(mpsc::Sender<Command>);

/// The task is gone: nobody will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl From<Gone> for Error {
    fn from(Gone: Gone) -> Self {
        Self::Ended
    }
}

impl Mailbox {
    pub(super) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    pub(super) async fn send(&self, command: Command) -> Result<(), Gone> {
        self.0.send(command).await.map_err(|_| Gone)
    }

    /// Sends what `command` makes of a place for the answer, and waits for the answer.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.send(command(sender)).await?;
        receiver.await.map_err(|_| Gone)
    }
}
