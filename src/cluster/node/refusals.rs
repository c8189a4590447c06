//! Records that cannot be read: counted, and noted of the member whose they were to be, so that people see it.
//!
//! The word of others is taken for what it is: at most one line is kept of a member, only of one that is known, only
//! of a record newer than the one that is here, and with the name of whoever told it, where that was another.

use std::net::{IpAddr, SocketAddr};

use super::Node;
use crate::{
    cluster::{
        identity::Identity,
        records::{BadRecord, RecordError},
    },
    model::NodeName,
};

/// The longest reason that is kept, in characters.
const LONGEST: usize = 160;

impl Node {
    /// Straight from a node, from this address: only what comes from where the member is, and is of nobody else,
    /// is held against it.
    pub(super) fn refuse_pushed(&mut self, source: SocketAddr, from: &Identity, bad: &BadRecord) {
        self.count_record(&bad.why);
        let canonical = |ip: IpAddr| ip.to_canonical();
        let at_home = canonical(from.addr().ip()) == canonical(source.ip()) && self.directory.of(from).is_some();
        if at_home && bad.of.as_ref().is_none_or(|name| name == from.name()) {
            self.note_refusal(from.name(), bad, None);
        }
    }

    /// Told by a member, of itself or of another.
    pub(super) fn refuse_told(&mut self, teller: &Identity, bad: &BadRecord) {
        self.count_record(&bad.why);
        match &bad.of {
            Some(name) if name != teller.name() => self.note_refusal(&name.clone(), bad, Some(teller.name())),
            _ => self.note_refusal(teller.name(), bad, None),
        }
    }

    fn note_refusal(&mut self, name: &NodeName, bad: &BadRecord, teller: Option<&NodeName>) {
        let here = self.records.age(name);
        let Some(entry) = self.directory.entries.get_mut(name) else { return };
        let is_news = match bad.age {
            Some(age) => age.0 <= entry.identity.epoch() && here < Some(age),
            // Only who tells it of itself is believed without.
            None => teller.is_none(),
        };
        if !is_news {
            return;
        }
        let mut why: String = bad.why.to_string().chars().take(LONGEST).collect();
        if let Some(teller) = teller {
            why = format!("{why} (as {teller} tells it)");
        }
        if entry.refused.as_ref() != Some(&why) {
            entry.refused = Some(why);
            self.changed = true;
        }
    }

    fn count_record(&mut self, error: &RecordError) {
        self.count(match error {
            RecordError::TooLong(_) => "record too long",
            RecordError::Malformed(_) => "malformed record",
            RecordError::Name | RecordError::Epoch(_) => "record of nobody",
        });
    }
}
