//! What this node says of itself: computed in one place from all that it depends on, and said when that changes.

use crate::{
    cluster::{self, Announcement, Handle},
    model::{Drains, Health, RawOffer, State},
    settings::Agent,
};

/// What may change about an agent while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// How the node is.
    pub(super) state: State,
    /// What an operator took out by hand.
    pub(super) by_hand: Drains,
    /// Which of its services may get requests, in the order of the settings.
    pub(super) health: Vec<Health>,
}

/// What a node with these settings says in this condition.
pub(super) fn announcement(settings: &Agent, condition: &Condition) -> Announcement {
    let out = condition.state == State::Serving && condition.by_hand.node;
    let offer = |(index, offer): (usize, &RawOffer)| RawOffer {
        healthy: condition.health.get(index).is_none_or(|health| health.up),
        ..offer.clone()
    };
    Announcement {
        state: if out { State::Draining } else { condition.state },
        services: settings.services.iter().enumerate().map(offer).collect(),
        tags: settings.common.tags.clone(),
        by_hand: condition.by_hand.clone(),
        plane_stays: false,
    }
}

/// Says what is so, whenever it is something else.
pub(super) struct Voice<'a> {
    settings: &'a Agent,
    handle: Handle,
    condition: Condition,
}

impl<'a> Voice<'a> {
    /// The voice of a node that has said so far what it is in this condition.
    pub(super) fn new(settings: &'a Agent, handle: Handle, condition: Condition) -> Self {
        Self { settings, handle, condition }
    }

    /// What is so.
    pub(super) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// From now on this holds, too; the cluster is told where that makes a difference.
    pub(super) async fn change(&mut self, change: impl FnOnce(&mut Condition)) -> Result<(), cluster::Error> {
        change(&mut self.condition);
        self.handle.announce(announcement(self.settings, &self.condition)).await.map(drop)
    }

    /// Says which services may get requests now.
    pub(super) async fn health(&mut self, health: Vec<Health>) {
        // The end of the cluster's task is heard of where it is waited for.
        if let Err(error) = self.change(|condition| condition.health = health).await {
            tracing::warn!("failed to say which services pass their checks: {error}");
        }
    }
}
