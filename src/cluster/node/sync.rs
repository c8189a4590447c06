//! Exchanges: what we tell of everybody, and what we make of what others tell.

use std::collections::BTreeMap;

use foca::State;
use rand::{RngExt, seq::IteratorRandom};

use super::{Effect, Node, Why, leave::Phase, timers::Alarm};
use crate::cluster::{exchange::Exchange, identity::Identity, records::Stored};

impl Node {
    /// What the caller of an exchange sends first: everybody, and its own record.
    pub fn open_exchange(&self) -> Exchange {
        let own = self.records.get(self.identity().name());
        Exchange { complete: false, ..self.tell(own.into_iter()) }
    }

    /// What the one who is called answers, once it has fed the opening in: everybody, and the records that
    /// the caller lacks.
    pub fn answer_exchange(&self, opening: &Exchange) -> Exchange {
        self.tell(self.records.lacking(&opening.ages))
    }

    /// What the caller sends last, once it has fed the answer in: the records that the other lacks.
    pub fn finish_exchange(&self, answer: &Exchange) -> Exchange {
        let members = Vec::new();
        Exchange { members, ages: BTreeMap::new(), ..self.tell(self.records.lacking(&answer.ages)) }
    }

    /// What one is told who only looks on: everybody, and every record.
    pub fn everything(&self) -> Exchange {
        let known_there = BTreeMap::new();
        self.tell(self.records.lacking(&known_there))
    }

    fn tell<'a>(&self, records: impl Iterator<Item = &'a Stored>) -> Exchange {
        let state = if self.phase == Phase::Running { State::Alive } else { State::Down };
        let own = foca::Member::new(self.identity().clone(), self.outbox.incarnation, state);
        let others = self.foca.iter_membership_state().filter(|m| m.id().name() != self.identity().name());
        Exchange {
            from: self.identity().clone(),
            members: std::iter::once(own).chain(others.cloned()).collect(),
            ages: self.records.ages(),
            records: records.map(|stored| stored.bytes.clone()).collect(),
            complete: true,
        }
    }

    /// Takes in what the other side of an exchange told.
    pub(super) fn exchanged(&mut self, exchange: &Exchange) {
        if self.phase != Phase::Running {
            return;
        }
        self.meet(&exchange.from);
        // Who was alone learns everybody at once: that is no news to the others.
        let was_alone = self.foca.num_members() <= 1;
        let members: Vec<_> = exchange.members.iter().filter_map(|member| self.hearsay(member)).collect();
        let doubted: Vec<_> = members.iter().filter(|m| m.state() == State::Suspect).map(|m| m.id().clone()).collect();
        let members = self.admit(members);
        if self.phase != Phase::Running {
            return;
        }
        self.apply(members, !was_alone);
        for suspect in doubted.into_iter().filter(|suspect| suspect != self.identity()).collect::<Vec<_>>() {
            self.tell_suspect(&suspect);
        }
        for bytes in &exchange.records {
            match Stored::read(bytes.clone()) {
                Ok((node, stored)) => drop(self.take(&node, stored, false)),
                Err(bad) => self.refuse_told(&exchange.from, &bad),
            }
        }
        self.note_departed(exchange);
        if let Some(entry) = self.directory.of(&exchange.from) {
            (entry.announced, entry.tries) = (None, 0);
        }
        if exchange.complete && !self.synced {
            self.synced = true;
            self.changed = true;
        }
    }

    /// What another tells of a member, as far as we take it. That somebody is down is a suspicion to us
    /// while we hold it alive: after a split the others believe so of our whole half. That somebody was down
    /// whom we do not know, we need not learn: the two of us would keep it in mind for ever.
    fn hearsay(&self, member: &foca::Member<Identity>) -> Option<foca::Member<Identity>> {
        let id = member.id();
        if member.state() != State::Down || id.name() == self.identity().name() {
            return Some(member.clone());
        }
        let entry = self.directory.get(id.name())?;
        let down = entry.identity == *id && entry.is_active();
        let state = if down { State::Suspect } else { State::Down };
        Some(foca::Member::new(id.clone(), member.incarnation(), state))
    }

    /// The periodic exchange, with anybody.
    pub(super) fn exchange(&mut self) {
        let period = self.config.profile.exchange_period;
        self.timers.set(self.now + period.mul_f64(self.rng.random_range(0.75..1.25)), Alarm::Exchange);
        let living = self.directory.living().map(|entry| entry.identity.addr());
        if let Some(with) = living.choose(&mut self.rng) {
            self.out.push(Effect::Exchange { with, why: Why::Periodic });
        }
    }

    /// When the first periodic exchange is due.
    pub(super) fn begin_exchanges(&mut self) {
        let period = self.config.profile.exchange_period;
        let first = period.mul_f64(self.rng.random_range(0.0..1.0));
        self.timers.set(self.now + first, Alarm::Exchange);
    }
}
