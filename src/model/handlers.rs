//! What event handlers are told, in Serf's words: which events there are, who wants which, and what a script reads of
//! one. Pure.
//!
//! State, not deltas: what is told of members is the difference between the newest state and what was told last. It must
//! not know how a handler is run.

mod changes;
mod filter;
mod script;

use std::{fmt, sync::Arc};

pub use changes::{Change, Seen, Told, changes};
pub use filter::{BadHandler, Handler};
pub use script::{environment, input};

use super::UserEvent;

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberEvent {
    /// It is new, or back.
    Join,
    /// It said goodbye.
    Leave,
    /// It was declared down.
    Failed,
    /// It offers something else, or has other tags.
    Update,
    /// It was gone, and is forgotten.
    Reap,
}

/// One call of a handler: what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A member.
    Member(Change),
    /// A user event.
    User(Arc<UserEvent>),
}

impl MemberEvent {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Join, Self::Leave, Self::Failed, Self::Update, Self::Reap];

    /// As Serf calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "member-join",
            Self::Leave => "member-leave",
            Self::Failed => "member-failed",
            Self::Update => "member-update",
            Self::Reap => "member-reap",
        }
    }
}

impl Call {
    /// Serf's name of the kind of event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Member(change) => change.event.as_str(),
            Self::User(_) => "user",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(change) => write!(f, "{} {}", change.event.as_str(), change.member.name),
            Self::User(event) => write!(f, "user:{}", event.name),
        }
    }
}
