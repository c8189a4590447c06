//! The life of a member that was seen last, and what it weighs that another follows on it.

use super::damping::{CRASH, GRACEFUL};
use crate::model::{Liveness, Member, State};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) epoch: u64,
    pub(super) end: End,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Not yet.
    Open,
    /// It was declared down.
    Failed,
    /// It said that it goes, or it is this node that was cut off.
    Excused,
}

impl Life {
    /// The member's life, and how it ended; what was excused stays so while it is gone.
    pub(super) fn of(member: &Member, before: Option<&Self>) -> Self {
        let before = before.filter(|life| life.epoch == member.epoch).map(|life| life.end);
        let end = match member.liveness {
            _ if says_goodbye(member) => End::Excused,
            Liveness::Failed if before == Some(End::Excused) => End::Excused,
            Liveness::Failed => End::Failed,
            Liveness::Alive | Liveness::Suspect | Liveness::Left => End::Open,
        };
        Self { epoch: member.epoch, end }
    }

    /// What it weighs that the member is back, if it is: in another life, or in this one though it was down.
    pub(super) fn back(&self, member: &Member) -> Option<u32> {
        let anew = member.epoch > self.epoch;
        if !member.lives() || !(anew || (self.end == End::Failed && member.epoch == self.epoch)) {
            return None;
        }
        // A goodbye that no step saw may be what is still known of the life before.
        let left = anew && member.record.as_ref().is_some_and(|r| r.epoch < member.epoch && r.state != State::Serving);
        Some(if left || self.end == End::Excused { GRACEFUL } else { CRASH })
    }
}

/// Whether the member, in this life, drains or has left.
fn says_goodbye(member: &Member) -> bool {
    let said = member.record.as_ref().filter(|record| record.epoch >= member.epoch);
    member.liveness == Liveness::Left || said.is_some_and(|record| record.state != State::Serving)
}
