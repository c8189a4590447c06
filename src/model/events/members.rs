//! What happens to members: who comes, is doubted, goes; who drains by its own word or by hand.

use std::collections::BTreeSet;

use super::{Event, What};
use crate::model::{Member, RawRecord, Snapshot, State};

/// What happened to members between two snapshots of gossip. Those of the first snapshot of all are no news.
pub fn members(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    if before.members.is_empty() {
        return Vec::new();
    }
    let one = |now: &Member| {
        let was = before.members.get(&now.name);
        let same_life = was.filter(|was| was.epoch == now.epoch);
        turned(was, now).into_iter().chain(drains(same_life, now)).collect::<Vec<_>>()
    };
    after.members.values().flat_map(one).collect()
}

/// Whether it lives, or which of its lives it is.
fn turned(was: Option<&Member>, now: &Member) -> Option<Event> {
    let (from, to) = (was.map(|was| was.liveness), now.liveness);
    let is_another = was.is_some_and(|was| was.epoch < now.epoch);
    let text = match from {
        None if now.lives() => "joined".to_owned(),
        None => format!("known as {to}"),
        Some(from) if from == to && is_another => format!("{to}, in a new life"),
        Some(from) if from == to => return None,
        Some(from) => format!("{from} → {to}"),
    };
    let what = What::Member { from, to, epoch: now.epoch };
    Some(Event::new(what, &now.name, text).of(&now.name))
}

/// What it drains, and no longer drains.
fn drains(was: Option<&Member>, now: &Member) -> Vec<Event> {
    let nothing = RawRecord::default();
    let before = was.and_then(|was| was.record.as_ref()).unwrap_or(&nothing);
    let Some(after) = now.record.as_ref().filter(|_| now.lives()) else { return Vec::new() };
    let event =
        |begins: bool, subject: String, text: &str| Event::new(What::Drain { begins }, &subject, text).of(&now.name);
    let mut events = Vec::new();
    if before.by_hand.node != after.by_hand.node {
        let text = if after.by_hand.node { "drained by hand" } else { "undrained" };
        events.push(event(after.by_hand.node, now.name.to_string(), text));
    } else if by_itself(before) != by_itself(after) {
        let text = if by_itself(after) { "drains, by its own word" } else { "serves again" };
        events.push(event(by_itself(after), now.name.to_string(), text));
    }
    let (of_before, of_after): (BTreeSet<_>, BTreeSet<_>) =
        (before.by_hand.services.iter().collect(), after.by_hand.services.iter().collect());
    for service in of_before.symmetric_difference(&of_after) {
        let begins = of_after.contains(*service);
        let text = if begins { "drained by hand" } else { "undrained" };
        events.push(event(begins, format!("{}/{service}", now.name), text));
    }
    events
}

fn by_itself(record: &RawRecord) -> bool {
    record.state == State::Draining && !record.by_hand.node
}
