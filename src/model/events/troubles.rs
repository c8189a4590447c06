//! What is held back, refused, or in trouble: when it begins, and when it ends.

use super::{Event, What};
use crate::model::{Flapping, Held, Rejection, SourceState, Status, words::first_of};

/// Endpoints of a hold that are named; `plan` names all.
const NAMED: usize = 8;

/// What is held back, by the guard or for coming and going too often.
pub(super) fn held(before: &Status, after: &Status) -> Vec<Event> {
    let guard = |hold: &Held, begins: bool| {
        let id = hold.id.clone();
        let text = if begins { format!("holds {id}") } else { format!("ends {id}") };
        let kept = first_of(&hold.endpoints, NAMED);
        let stay = format!("{kept}: {}; 'backchat release {id}' lets it go", hold.why);
        let event = Event::new(What::Hold { hold: id, begins }, "guard", text);
        if begins { event.so(stay) } else { event }
    };
    let flap = |f: &Flapping, begins: bool| {
        let text = if begins { "held down" } else { "no longer held down" };
        let event = Event::new(What::Flapping { hold: f.id.clone(), begins }, &f.who(), text).of(&f.node);
        let left = f.left.as_secs_f32().ceil();
        let why = format!("came back {}; for {left} s, 'backchat release {}' lets it in", f.how_often(), f.id);
        if begins { event.so(why) } else { event }
    };
    let held = differ(&before.held, &after.held, |a, b| a.id == b.id, guard);
    let flapping = differ(&before.flapping, &after.flapping, |a, b| (&a.id, a.times) == (&b.id, b.times), flap);
    // One that is held down anew for coming back once more is not let in.
    let anew = |e: &Event| matches!(&e.what, What::Flapping { hold, begins: false } if after.flapping.iter().any(|f| f.id == *hold));
    held.into_iter().chain(flapping.into_iter().filter(|e| !anew(e))).collect()
}

/// What members say that is not taken.
pub(super) fn refused(before: &Status, after: &Status) -> Vec<Event> {
    let event = |r: &Rejection, begins: bool| {
        let text = if begins { "refused" } else { "no longer refused" };
        Event::new(What::Refused { begins }, &r.node, text).of(&r.node).so(format!("{}: {}", r.subject, r.why))
    };
    // There may be a thousand of them, sorted on both sides.
    let missing = |one: &&Rejection, among: &[Rejection]| among.binary_search(one).is_err();
    let begun = after.rejections.iter().filter(|r| missing(r, &before.rejections)).map(|r| event(r, true));
    let ended = before.rejections.iter().filter(|r| missing(r, &after.rejections)).map(|r| event(r, false));
    begun.chain(ended).collect()
}

/// What begins, and what ends.
fn differ<T>(before: &[T], after: &[T], same: fn(&T, &T) -> bool, event: impl Fn(&T, bool) -> Event) -> Vec<Event> {
    let missing = |one: &T, among: &[T]| !among.iter().any(|other| same(one, other));
    let begun = after.iter().filter(|one| missing(one, before)).map(|one| event(one, true));
    let ended = before.iter().filter(|one| missing(one, after)).map(|one| event(one, false));
    begun.chain(ended).collect()
}

/// The trouble of this daemon's own: its sources, its template, its file, its data plane.
pub(super) fn own(before: &Status, after: &Status) -> Vec<Event> {
    let mut events: Vec<_> = after.sources.iter().filter_map(|now| source(before, now)).collect();
    let template = |begins| Event::new(What::Template { begins }, "template", turn(begins));
    let file = |begins| Event::new(What::File { begins }, "file", turn(begins));
    events.extend(trouble(before.plane.template.as_ref(), after.plane.template.as_ref(), template));
    events.extend(trouble(before.plane.blocked.as_ref(), after.plane.blocked.as_ref(), file));
    events.extend(plane(before, after));
    events
}

fn turn(begins: bool) -> &'static str {
    if begins { "in trouble" } else { "well again" }
}

/// Trouble that begins, is another, or ends.
fn trouble(before: Option<&String>, after: Option<&String>, event: impl Fn(bool) -> Event) -> Option<Event> {
    match (before, after) {
        (before, Some(why)) if before != Some(why) => Some(event(true).so(why.clone())),
        (Some(_), None) => Some(event(false)),
        _ => None,
    }
}

fn source(before: &Status, now: &SourceState) -> Option<Event> {
    let was = before.sources.iter().find(|was| was.name == now.name);
    let event = |begins| Event::new(What::Source { begins }, &now.name, turn(begins));
    let trouble = trouble(was.and_then(|was| was.trouble.as_ref()), now.trouble.as_ref(), event);
    let meanwhile = |e: Event| match &e.effect {
        Some(why) => Event { effect: Some(format!("{why}; {}", now.meanwhile())), ..e },
        None => e,
    };
    let is_synced = now.synced && was.is_some_and(|was| !was.synced);
    let synced = is_synced.then(|| Event::new(What::Source { begins: false }, &now.name, "has listed everything"));
    trouble.map(meanwhile).or(synced)
}

/// A data plane that answers and refuses is up, and in trouble all the same.
fn plane(before: &Status, after: &Status) -> Vec<Event> {
    let up = after.plane_up;
    let event = |text: &str| Event::new(What::Plane { up }, "data plane", text);
    let why = |event: Event| Event { effect: after.error.clone(), ..event };
    let name = || [after.plane.name, &after.plane.version].join(" ").trim().to_owned();
    let restarted = (after.tally.restarts > before.tally.restarts).then(|| event("started again"));
    let turned = match (before.plane_up, up) {
        (false, true) if before.stepped_at.is_none() => Some(event("up").so(name())),
        (false, true) => Some(event("down → up").so(name())),
        (true, false) => Some(why(event("up → down"))),
        _ if before.error == after.error => None,
        _ if after.error.is_some() => Some(why(event("in trouble"))),
        _ => Some(event("well again")),
    };
    restarted.into_iter().chain(turned).collect()
}
