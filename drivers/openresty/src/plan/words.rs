//! A plan's reasons and commands as people read them. Pure.

use std::collections::BTreeSet;

use backchat_contract::{Action, Change, ChangeKind};
use backchat_nginx::certificates::Certificates;

use crate::observe::Observed;

/// How many things are named before the rest is a number.
const SHOWN: usize = 5;

/// The first few; the rest as a number.
pub(super) fn some(names: &[String]) -> String {
    listed(&names[..names.len().min(SHOWN)], names.len())
}

fn listed(shown: &[String], all: usize) -> String {
    match all - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A push: `POST /table: version 18: + web/web4, - web/web1`.
pub(super) fn command(changes: &[Change], version: u64) -> String {
    // Where endpoints of a service change, they speak for it.
    let told: BTreeSet<&str> = changes.iter().filter_map(|change| Some(change.id.split_once('/')?.0)).collect();
    // Certificates are no part of the table.
    let pushed = changes.iter().filter(|change| change.kind != ChangeKind::Certificate);
    let said = pushed.filter(|change| change.kind != ChangeKind::Service || !told.contains(&*change.id));
    let said: Vec<&Change> = said.collect();
    let shown = said.iter().take(SHOWN).map(|change| format!("{} {}", sign(change.action), change.id));
    let what = match said.len() {
        0 => "as it is".to_owned(),
        all => listed(&shown.collect::<Vec<_>>(), all),
    };
    format!("POST /table: version {version}: {what}")
}

fn sign(action: Action) -> char {
    match action {
        Action::Add => '+',
        Action::Remove => '-',
        Action::Update | Action::Drain => '~',
    }
}

/// Why only a reload can bring what is wanted; `None` where a push does.
pub(super) fn why(observed: &Observed, structure: &str, room: u64, certificates: &Certificates) -> Option<String> {
    let why = match observed.structure() {
        None => "openresty does not run a configuration of ours".to_owned(),
        Some(_) if observed.look.distrusted => "somebody else has reloaded it from another file".to_owned(),
        Some(live) if live == structure => return None,
        Some(_) if room > observed.room() => format!("shared memory of {} KiB, {room} needed", observed.room()),
        Some(_) if observed.live().certificates != *certificates => "certificates changed".to_owned(),
        Some(_) => "settings or template changed".to_owned(),
    };
    Some(why)
}
