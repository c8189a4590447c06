//! What happens, told as the difference between two states that were published: who came or went, what follows for the
//! set, what was applied, what is in trouble. Pure.
//!
//! State, not deltas: what came and went between two looks is not told. It must not know who listens.

mod members;
mod set;
#[cfg(test)]
mod tests;
mod troubles;

use backchat_contract::Action;
use serde::{Deserialize, Serialize};

use super::{Health, Liveness, Moment, Snapshot, Status};

pub use members::members;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind of thing, with what programs want to know of it.
    #[serde(flatten)]
    pub what: What,
    /// What it is about: `web3`, `web/web3`, `apply`, `guard`, `data plane`.
    pub subject: String,
    /// The member behind it, where there is one.
    pub node: Option<String>,
    /// What happened, in words: `alive → suspect`.
    pub text: String,
    /// What follows from it, or why it happened, in words: `drain web/web3`.
    pub effect: Option<String>,
}

/// What kind of thing happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// A member is another than before.
    Member {
        /// How it was; `None` where nobody knew it.
        from: Option<Liveness>,
        /// How it is.
        to: Liveness,
        /// Which of its lives it is in.
        epoch: u64,
    },
    /// A member, or a service of it, begins to drain, by hand or by its own word, or serves again.
    Drain {
        /// Whether it begins.
        begins: bool,
    },
    /// A service of this node passes its check now, or fails it.
    Check {
        /// Whether it may get requests.
        up: bool,
    },
    /// An endpoint of the desired set is another.
    Endpoint {
        /// What becomes of it.
        change: Action,
    },
    /// Many endpoints of one service are others at once.
    Endpoints {
        /// How many.
        count: usize,
    },
    /// A route of the desired set is another.
    Route {
        /// Which: `shop.example.com/`.
        route: String,
        /// What becomes of it.
        change: Action,
    },
    /// Changes were applied to the data plane.
    Apply {
        /// What it runs after it.
        generation: u64,
        /// Commands that it confirmed.
        commands: u64,
        /// Commands that it refused.
        refused: u64,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// How often it was reloaded.
        reloads: u64,
        /// Whether it was read back to be as it should.
        confirmed: bool,
    },
    /// The guard begins to hold something back, or no longer does.
    Hold {
        /// By this it is released: `h3c9`.
        hold: String,
        /// Whether it begins.
        begins: bool,
    },
    /// A member that comes and goes, or a service of it, begins to be held down, or no longer is.
    Flapping {
        /// By this it is released: `f3c9a`.
        hold: String,
        /// Whether it begins.
        begins: bool,
    },
    /// What a member says is not taken, or is no longer refused.
    Refused {
        /// Whether it begins.
        begins: bool,
    },
    /// The operator's template is in trouble, or well again.
    Template {
        /// Whether it begins.
        begins: bool,
    },
    /// The data plane's file was edited by somebody else, or that was undone.
    File {
        /// Whether it begins.
        begins: bool,
    },
    /// A source has listed everything once, is in trouble, or well again.
    Source {
        /// Whether trouble begins.
        begins: bool,
    },
    /// The data plane does not do what it should, does it again, or was started again.
    Plane {
        /// Whether it answered at the last look.
        up: bool,
    },
    /// Events are missing before this one.
    Gap,
}

impl Event {
    /// One that needs no more words.
    pub(super) fn new(what: What, subject: &(impl ToString + ?Sized), text: impl Into<String>) -> Self {
        Self { what, subject: subject.to_string(), node: None, text: text.into(), effect: None }
    }

    /// With the member behind it.
    #[must_use]
    pub(super) fn of(self, node: &impl ToString) -> Self {
        Self { node: Some(node.to_string()), ..self }
    }

    /// With what follows, or why.
    #[must_use]
    pub(super) fn so(self, effect: impl Into<String>) -> Self {
        Self { effect: Some(effect.into()), ..self }
    }

    /// A listener's word that others are missing before what it hears next.
    pub fn gap(why: impl Into<String>) -> Self {
        Self::new(What::Gap, "gap", "events are missing here").so(why)
    }
}

/// What happened between two words of the reconcile loop. `members` and `now` are for the reasons.
pub fn loops(before: &Status, after: &Status, members: &Snapshot, now: Moment) -> Vec<Event> {
    let mut events = set::changes(before, after, members, now);
    events.extend(troubles::held(before, after));
    events.extend(troubles::refused(before, after));
    events.extend(troubles::own(before, after));
    events.extend(applied(before, after));
    events
}

/// What happened to the services of this node.
pub fn checks(before: &[Health], after: &[Health]) -> Vec<Event> {
    let was_up = |now: &Health| before.iter().find(|b| (&b.service, b.port) == (&now.service, now.port)).map(|b| b.up);
    let turned = after.iter().filter(|now| was_up(now).is_some_and(|up| up != now.up));
    let event = |h: &Health| {
        let text = if h.up { "down → up" } else { "up → down" };
        let event = Event::new(What::Check { up: h.up }, &format!("{}:{}", h.service, h.port), text);
        Event { effect: h.why.clone(), ..event }
    };
    turned.map(event).collect()
}

/// Ends these with what the set's changes are to them: an endpoint that changes as its member does is told with it.
pub fn with_effects(mut members: Vec<Event>, set: Vec<Event>) -> Vec<Event> {
    let mut alone = Vec::new();
    for event in set {
        let words = set::in_passing(&event);
        let is_cause = |cause: &&mut Event| cause.node.is_some() && cause.node == event.node;
        // Of a member that drains and leaves at once the drain is its first word, and that it is out its last.
        let cause = match event.what {
            What::Endpoint { change: Action::Drain } => members.iter_mut().find(is_cause),
            _ => members.iter_mut().rev().find(is_cause),
        };
        match (words, cause) {
            (Some(words), Some(cause)) => {
                let before = cause.effect.take().map_or_else(String::new, |before| before + ", ");
                cause.effect = Some(before + &words);
            }
            _ => alone.push(event),
        }
    }
    members.extend(alone);
    members
}

/// What was applied. Several applies of one step are told as one.
fn applied(before: &Status, after: &Status) -> Option<Event> {
    let (b, a) = (&before.tally, &after.tally);
    if a.applies <= b.applies {
        return None;
    }
    let (commands, refused) = (a.commands.saturating_sub(b.commands), a.refusals.saturating_sub(b.refusals));
    let reloads = after.reloads.saturating_sub(before.reloads);
    let took = a.applying().saturating_sub(b.applying());
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let confirmed = after.error.is_none() && (after.converged || after.waiting.is_some());
    let generation = after.plane.generation;
    let what = What::Apply { generation, commands, refused, took_ms, reloads, confirmed };
    let s = |n: u64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let mut words = vec![s(commands, "command"), format!("{took_ms} ms")];
    words.push(if reloads == 0 { "no reload".to_owned() } else { s(reloads, "reload") });
    words.extend((refused > 0).then(|| format!("{refused} refused")));
    words.push(if confirmed { "confirmed" } else { "not confirmed yet" }.to_owned());
    words.extend(after.waiting.iter().map(|why| format!("waiting: {why}")));
    Some(Event::new(what, "apply", generation.to_string()).so(words.join(", ")))
}
