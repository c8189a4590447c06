//! What a person was shown of a plan, and whether it is still what would be done. Pure.
//!
//! Compared are the data plane and its version, each thing that changes with what it is before and after, and what a
//! reload would load. Never what counts or passes by itself: generations, times, process ids, nor what endpoints do
//! beside the plan, which flow whatever a person approves.

use std::collections::{BTreeMap, BTreeSet};

use backchat_contract::{Action, ChangeKind, ChangeStatus, Desired, diff};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Proposal;

/// Things that moved which are named; the rest is a number.
const NAMED: usize = 8;

/// A plan as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// `haproxy`, `nginx`, `openresty`.
    pub driver: String,
    /// The data plane's own version.
    pub version: String,
    /// What a reload would load, as a hash; `None` where nothing is reloaded.
    pub structure: Option<String>,
    /// What somebody else made of the files that would be written over, as a hash; `None` where they are ours.
    #[serde(default)]
    pub edited: Option<String>,
    /// What changes, by kind and id.
    pub changes: Vec<Print>,
    /// The files' diffs: they only name what moved.
    pub files: Vec<FilePrint>,
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Print {
    /// What it is.
    pub kind: ChangeKind,
    /// `web/web1`, `shop.example.com/`, `web`.
    pub id: String,
    /// What would happen to it.
    pub action: Action,
    /// As it is, in words.
    pub before: Option<String>,
    /// As it would be, in words.
    pub after: Option<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePrint {
    /// Its path.
    pub path: String,
    /// The unified diff.
    pub diff: String,
}

type Subject<'a> = (ChangeKind, &'a str);

impl Fingerprint {
    /// That of a proposal.
    pub fn of(proposal: &Proposal) -> Self {
        let planned = proposal.view.changes.iter().filter(|c| c.status == ChangeStatus::Planned);
        let print = |c: &backchat_contract::Change| Print {
            kind: c.kind,
            id: c.id.clone(),
            action: c.action,
            before: c.before.clone(),
            after: c.after.clone(),
        };
        let files = proposal.view.files.iter().map(|f| FilePrint { path: f.path.clone(), diff: f.diff() });
        Self {
            driver: proposal.plane.name.to_owned(),
            version: proposal.plane.version.clone(),
            structure: proposal.structure.clone(),
            edited: edited(proposal),
            changes: planned.map(print).collect(),
            files: files.collect(),
        }
    }

    /// What is not as it was shown any more, in words, each naming its object; none where what would be done `now` is
    /// what was shown. What was shown and is `live` by now, or was `loaded` by the last reload, was done meanwhile, and
    /// has not moved.
    pub fn moved(&self, now: &Proposal, (live, loaded): (&Desired, Option<&str>)) -> Vec<String> {
        let print = Self::of(now);
        let version = (self.version != print.version)
            .then(|| format!("{} is {} now, and was {}", print.driver, print.version, self.version));
        let edited = self.overwritten(&print, now);
        let moved = self.changed(&print, live).into_iter().chain(version).chain(edited);
        let moved = moved.chain(self.reloaded(&print, now, loaded));
        shortened(moved.collect())
    }

    fn changed(&self, now: &Self, live: &Desired) -> Vec<String> {
        let (shown, planned) = (by_subject(&self.changes), by_subject(&now.changes));
        let gone: Vec<&Print> = shown.values().filter(|p| !planned.contains_key(&p.subject())).copied().collect();
        // What is there is asked for only where something is missing: it is as long as the set.
        let there = if gone.is_empty() { BTreeMap::new() } else { words(live) };
        let is_done = |p: &Print| there.get(&(p.kind, p.id.clone())) == p.after.as_ref();
        let not_any_more = gone.into_iter().filter(|p| !is_done(p));
        let not_any_more = not_any_more.map(|p| format!("{}: was to be {}, is not any more", p.name(), p.done()));
        let other = planned.values().filter_map(|p| match shown.get(&p.subject()) {
            None => Some(format!("{}: is to be {}, which was not shown", p.name(), p.done())),
            Some(before) if before == p => None,
            Some(before) => Some(format!("{}: was to be {}, is to be {}", p.name(), before.becomes(), p.becomes())),
        });
        not_any_more.chain(other).collect()
    }

    /// Where a file that somebody else has edited would be written over: whether that is the one that was shown.
    fn overwritten(&self, print: &Self, now: &Proposal) -> Option<String> {
        let file = || now.view.files.first().map_or("the file", |file| file.path.as_str());
        match (&self.edited, &print.edited) {
            (None, Some(_)) => Some(format!("{} was edited by hand, and would be written over", file())),
            (Some(shown), Some(now)) if shown != now => {
                Some(format!("{} was edited by hand once more, and would be written over", file()))
            }
            // As it was shown; or ours again, and nothing of anybody else's is lost.
            _ => None,
        }
    }

    fn reloaded(&self, print: &Self, now: &Proposal, loaded: Option<&str>) -> Option<String> {
        let blocked = now.plane.blocked.as_ref().or(now.plane.template.as_ref());
        match (&self.structure, &print.structure) {
            (Some(shown), Some(now)) if shown != now => Some(self.other_lines(print)),
            (Some(shown), None) if blocked.is_none() && loaded == Some(shown) => None,
            (Some(_), None) => {
                Some(blocked.cloned().unwrap_or_else(|| "the reload that was shown is not needed any more".into()))
            }
            (None, Some(_)) => {
                let why = now.view.reload.as_deref().unwrap_or("something else is loaded");
                Some(format!("a reload is needed, which was not shown: {why}"))
            }
            _ => None,
        }
    }

    /// The first line of a file that would be written and was not shown, but for the numbers in it.
    fn other_lines(&self, now: &Self) -> String {
        let lines = |of: &Self| -> Vec<(String, String, String)> {
            let file = |f: &FilePrint| {
                let name = f.path.rsplit('/').next().unwrap_or(&f.path).to_owned();
                let changed = f.diff.lines().filter(|line| says_something(line));
                changed.map(|line| (name.clone(), unnumbered(line), line.to_owned())).collect::<Vec<_>>()
            };
            of.files.iter().flat_map(file).collect()
        };
        let (shown, now) = (lines(self), lines(now));
        let missing = |of: &[(String, String, String)], from: &[(String, String, String)]| {
            let known: BTreeSet<_> = from.iter().map(|(file, line, _)| (file.clone(), line.clone())).collect();
            of.iter().find(|(file, line, _)| !known.contains(&(file.clone(), line.clone()))).cloned()
        };
        let quoted = |(file, _, line): (String, String, String), what: &str| {
            let sign = line.get(..1).unwrap_or_default();
            format!("{file}: '{sign} {}' {what}", line.get(1..).unwrap_or_default().trim())
        };
        let new = missing(&now, &shown).map(|line| quoted(line, "was not shown"));
        let old = || missing(&shown, &now).map(|line| quoted(line, "was shown, and is not any more"));
        new.or_else(old).unwrap_or_else(|| "what the reload loads is not what was shown".into())
    }
}

impl Print {
    fn subject(&self) -> Subject<'_> {
        (self.kind, &self.id)
    }

    fn name(&self) -> String {
        match self.kind {
            ChangeKind::Endpoint => self.id.clone(),
            ChangeKind::Route => format!("route {}", self.id),
            ChangeKind::Service => format!("service {}", self.id),
            ChangeKind::Certificate => format!("certificate {}", self.id),
        }
    }

    fn done(&self) -> &'static str {
        match self.action {
            Action::Add => "added",
            Action::Update => "changed",
            Action::Drain => "drained",
            Action::Remove => "removed",
        }
    }

    /// `changed from 10.0.0.7:80 weight 100 to 10.0.0.7:80 weight 50`.
    fn becomes(&self) -> String {
        let words = |words: &Option<String>| words.as_ref().map(|words| words.replace("  ", " "));
        let from = words(&self.before).map(|words| format!(" from {words}")).unwrap_or_default();
        let to = words(&self.after).map(|words| format!(" to {words}")).unwrap_or_default();
        format!("{}{from}{to}", self.done())
    }
}

/// Files that are not as we wrote them, and would be written over.
fn edited(proposal: &Proposal) -> Option<String> {
    proposal.plane.blocked.as_ref().filter(|_| !proposal.view.files.is_empty())?;
    let old = proposal.view.files.iter().map(|file| file.old.as_str());
    let hash = old.fold(Sha256::new(), |hash, text| hash.chain_update(text.len().to_be_bytes()).chain_update(text));
    Some(hex::encode(&hash.finalize()[..8]))
}

fn by_subject(prints: &[Print]) -> BTreeMap<Subject<'_>, &Print> {
    prints.iter().map(|print| (print.subject(), print)).collect()
}

/// All that there is, in the words of a plan that adds it.
fn words(live: &Desired) -> BTreeMap<(ChangeKind, String), String> {
    let all = diff(&Desired::default(), live).into_iter();
    all.filter_map(|change| Some(((change.kind, change.id), change.after?))).collect()
}

/// Whether it is a line of the file that comes or goes, and not a blank one.
fn says_something(line: &str) -> bool {
    let is_title = line.starts_with("--- ") || line.starts_with("+++ ");
    !is_title && line.strip_prefix(['+', '-']).is_some_and(|line| !line.trim().is_empty())
}

/// A line without its numbers and hashes: generations are in it.
fn unnumbered(line: &str) -> String {
    let is_number =
        |word: &str| word.chars().all(|c| c.is_ascii_hexdigit()) && word.chars().any(|c| c.is_ascii_digit());
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| !is_number(word)).collect::<Vec<_>>().join(" ")
}

fn shortened(mut moved: Vec<String>) -> Vec<String> {
    let more = moved.len().saturating_sub(NAMED);
    moved.truncate(NAMED);
    moved.extend((more > 0).then(|| format!("and {more} more")));
    moved
}

#[cfg(test)]
mod tests;
