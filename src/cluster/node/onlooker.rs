//! What one knows of a cluster who only asks its members, and is none of them: the word of the member that was asked
//! last, and what came of knocking at those that it doubts.
//!
//! There is no foca here: nothing is gossiped, nobody is told anything, and nobody learns that somebody looks on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{Outcome, directory::Directory};
use crate::{
    cluster::{
        exchange::Exchange,
        identity::Identity,
        records::{BadRecord, Records, Stored},
    },
    model::{Liveness, Member, Moment, NodeName, Verdict},
};

/// What an onlooker knows.
#[derive(Debug, Default)]
pub struct Onlooker {
    directory: Directory,
    records: Records,
}

impl Onlooker {
    /// Takes in all that a member tells. Whom it tells nothing of is forgotten; who is as before is so since then.
    pub fn hear(&mut self, told: &Exchange, now: Moment) {
        self.records = Records::default();
        let mut unread = Vec::new();
        for bytes in &told.records {
            match Stored::read(bytes.clone()) {
                Ok((node, stored)) => drop(self.records.offer(&node, stored)),
                Err(bad) => unread.push(bad),
            }
        }
        let names: BTreeSet<&NodeName> = told.members.iter().map(|member| member.id().name()).collect();
        self.directory.entries.retain(|name, _| names.contains(name));
        for member in &told.members {
            self.directory.look(member, &self.records, now);
        }
        self.note_unread(told.from.name(), unread);
    }

    /// A record that only another version can read: of its member nothing is known, which is said.
    fn note_unread(&mut self, teller: &NodeName, unread: Vec<BadRecord>) {
        self.directory.entries.values_mut().for_each(|entry| entry.refused = None);
        for bad in unread {
            let entry = bad.of.as_ref().and_then(|name| self.directory.entries.get_mut(name));
            if let Some(entry) = entry {
                entry.refused = Some(format!("{} (as {teller} tells it)", bad.why));
            }
        }
    }

    /// Those whose own word counts more than that of the others: a balancer asks them in person. Who has answered, or
    /// whose host has, is not asked twice.
    pub fn doubtful(&self) -> Vec<Identity> {
        let doubted = |liveness| matches!(liveness, Liveness::Suspect | Liveness::Failed);
        let open = |verdict| matches!(verdict, Verdict::Unasked | Verdict::Silent);
        let entries = self.directory.entries.values().filter(|entry| doubted(entry.liveness) && open(entry.verdict));
        entries.map(|entry| entry.identity.clone()).collect()
    }

    /// What came of knocking.
    pub fn asked(&mut self, who: &Identity, outcome: Outcome) {
        let Some(entry) = self.directory.of(who) else { return };
        entry.verdict = match outcome {
            Outcome::Connected => Verdict::Answered,
            Outcome::Refused => Verdict::Refused,
            Outcome::Silent => Verdict::Silent,
        };
    }

    /// Where members are that live.
    pub fn living(&self) -> impl Iterator<Item = SocketAddr> {
        self.directory.living().map(|entry| entry.identity.addr())
    }

    /// Everybody. A suspect whose host refuses the connect is taken for failed, as a balancer takes it.
    pub fn members(&self) -> BTreeMap<NodeName, Member> {
        let mut members = self.directory.members(&self.records);
        for member in members.values_mut() {
            if (member.liveness, member.verdict) == (Liveness::Suspect, Verdict::Refused) {
                member.liveness = Liveness::Failed;
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use foca::State;

    use super::*;
    use crate::{
        cluster::records,
        model::{self, RawRecord},
    };

    fn id(name: &str, epoch: u64) -> Identity {
        Identity::new(name.parse().unwrap(), epoch, "10.0.0.1:7946".parse().unwrap())
    }

    fn record(name: &str, epoch: u64, state: model::State) -> Bytes {
        let record = RawRecord { node: name.into(), epoch, version: 1, state, ..RawRecord::default() };
        records::encode(&record).unwrap().into()
    }

    fn told(members: &[(&str, State)], records: Vec<Bytes>) -> Exchange {
        let members = members.iter().map(|(name, state)| foca::Member::new(id(name, 7), 0, *state)).collect();
        Exchange { from: id("proxy", 7), members, ages: BTreeMap::new(), records, complete: true }
    }

    fn seen(onlooker: &Onlooker) -> Vec<(String, Liveness, u64)> {
        let members = onlooker.members().into_values();
        members.map(|m| (m.name.to_string(), m.liveness, m.since.as_secs())).collect()
    }

    #[test]
    fn what_is_told_last_counts_and_who_is_as_before_is_so_since_then() {
        let mut onlooker = Onlooker::default();
        let goodbye = record("gone", 7, model::State::Left);
        let first = [("a", State::Alive), ("b", State::Alive), ("gone", State::Down)];
        onlooker.hear(&told(&first, vec![record("a", 7, model::State::Serving), goodbye]), Moment::from_secs(1));
        let is = |name: &str, liveness, since| (name.to_owned(), liveness, since);
        assert_eq!(
            seen(&onlooker),
            [is("a", Liveness::Alive, 1), is("b", Liveness::Alive, 1), is("gone", Liveness::Left, 1)]
        );
        let known: Vec<_> = onlooker.members().into_values().map(|m| m.record.is_some()).collect();
        assert_eq!(known, [true, false, true]);
        onlooker.hear(&told(&[("a", State::Alive), ("b", State::Down)], Vec::new()), Moment::from_secs(5));
        assert_eq!(seen(&onlooker), [is("a", Liveness::Alive, 1), is("b", Liveness::Failed, 5)]);
        assert!(onlooker.members().values().all(|m| m.record.is_none()), "what is told no more is known no more");
    }

    #[test]
    fn who_is_doubted_is_asked_until_there_is_an_answer() {
        let mut onlooker = Onlooker::default();
        let look = |onlooker: &mut Onlooker, at| {
            let all = [("a", State::Alive), ("down", State::Down), ("suspect", State::Suspect)];
            onlooker.hear(&told(&all, Vec::new()), Moment::from_secs(at));
            onlooker.doubtful()
        };
        let both = [id("down", 7), id("suspect", 7)];
        assert_eq!(look(&mut onlooker, 1), both);
        for who in &both {
            onlooker.asked(who, Outcome::Silent);
        }
        assert_eq!(look(&mut onlooker, 2), both, "a packet may be lost");
        onlooker.asked(&both[0], Outcome::Connected);
        onlooker.asked(&both[1], Outcome::Refused);
        assert_eq!(look(&mut onlooker, 3), []);
        let liveness: Vec<_> = onlooker.members().into_values().map(|m| (m.liveness, m.verdict)).collect();
        let expected = [
            (Liveness::Alive, Verdict::Unasked),
            (Liveness::Failed, Verdict::Answered),
            (Liveness::Failed, Verdict::Refused),
        ];
        assert_eq!(liveness, expected);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_said_and_costs_no_other() {
        let mut onlooker = Onlooker::default();
        let mut bad = record("a", 7, model::State::Serving).to_vec();
        bad.truncate(bad.len() - 1);
        let records = vec![bad.into(), record("b", 7, model::State::Serving), Bytes::from_static(b"\xff")];
        onlooker.hear(&told(&[("a", State::Alive), ("b", State::Alive)], records), Moment::ZERO);
        let members: Vec<_> = onlooker.members().into_values().map(|m| (m.record.is_some(), m.refused)).collect();
        assert!(matches!(&members[..], [(false, Some(why)), (true, None)] if why.ends_with("(as proxy tells it)")));
    }
}
