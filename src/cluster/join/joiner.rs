//! One try to join: an exchange with whoever is at an address.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use super::JoinAddr;
use crate::{
    cluster::{
        counters::Counters,
        error::Error,
        mailbox::{Command, Mailbox},
        sync::{self, Speaker, SyncError},
        wire::Rejected,
    },
    model::NodeName,
};

/// Tries to join. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct Joiner {
    pub(in crate::cluster) speaker: watch::Receiver<Speaker>,
    pub(in crate::cluster) mailbox: Mailbox,
    pub(in crate::cluster) counters: Arc<Counters>,
}

/// Who is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Found {
    /// A member.
    Member(NodeName),
    /// This node itself.
    Ourselves,
}

impl Joiner {
    /// Exchanges everything with the node at an address. Where this node's name is held, the node ends.
    pub(in crate::cluster) async fn exchange(&self, to: SocketAddr) -> Result<Found, SyncError> {
        let speaker = self.speaker.borrow().clone();
        let node = speaker.hello.from.name().clone();
        let result = sync::exchange(speaker, to, true, &self.mailbox).await;
        if let Err(SyncError::Rejected(Rejected::Own)) = result {
            return Ok(Found::Ourselves);
        }
        self.counters.exchanged(result.is_ok());
        match &result {
            Err(SyncError::NameHeld(holder)) => {
                let error = Error::NameHeld { node, holder: holder.addr() };
                self.mailbox.send(Command::GiveUp(error)).await?;
            }
            Err(SyncError::Rejected(why)) => self.counters.rejected(*why),
            _ => {}
        }
        result.map(|who| Found::Member(who.name().clone()))
    }

    /// Tries every place an address leads to, until one works; else says what the last one did.
    pub(in crate::cluster) async fn once(&self, addr: &JoinAddr) -> Result<Found, String> {
        let places = addr.resolve().await.map_err(|error| super::cannot_look_up(addr, &error))?;
        let mut last = String::new();
        for place in places {
            match self.exchange(place).await {
                Ok(found) => return Ok(found),
                Err(error) => last = format!("{addr} ({}) {error}", place.ip()),
            }
        }
        Err(last)
    }
}
