//! Everybody else, as the outside is told of them: foca's states, told apart into left and failed by the
//! records, and since when.
//!
//! Level-triggered: foca's notifications only say when to look again, for they leave out suspicions.

use std::collections::BTreeMap;

use foca::{Incarnation, State};

use super::question::Question;
use crate::{
    cluster::{exchange::Age, identity::Identity, records::Records},
    model::{self, Liveness, Member, Moment, NodeName, Verdict},
};

/// Another node.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its latest life.
    pub(super) identity: Identity,
    pub(super) incarnation: Incarnation,
    /// What foca holds of it.
    pub(super) state: State,
    /// What we tell of it.
    pub(super) liveness: Liveness,
    pub(super) since: Moment,
    /// What came of asking it in person.
    pub(super) verdict: Verdict,
    /// What it is being asked.
    pub(super) question: Option<Question>,
    /// Why a newer record of it was not taken; until one is.
    pub(super) refused: Option<String>,
    /// The age of its record by its own announcement, until it was pulled.
    pub(super) announced: Option<Age>,
    /// How often its record was asked for in vain, and when to ask next.
    pub(super) tries: u32,
    pub(super) try_at: Moment,
}

impl Entry {
    fn new(identity: Identity, incarnation: Incarnation, state: State, liveness: Liveness, now: Moment) -> Self {
        Self {
            identity,
            incarnation,
            state,
            liveness,
            since: now,
            verdict: Verdict::Unasked,
            question: None,
            refused: None,
            announced: None,
            tries: 0,
            try_at: Moment::ZERO,
        }
    }

    /// Whether foca takes part of it for alive: a suspect is.
    pub(super) fn is_active(&self) -> bool {
        self.state != State::Down
    }

    /// Whether this would change what foca holds of this life, as SWIM orders states (§4.2 of its paper).
    pub(super) fn is_news(&self, incarnation: Incarnation, state: State) -> bool {
        match (self.state, state) {
            (State::Down, _) => false,
            (_, State::Down) => true,
            (State::Alive, State::Suspect) => incarnation >= self.incarnation,
            _ => incarnation > self.incarnation,
        }
    }

    /// Whether it is one to talk to: alive or suspect, and not on its way out.
    pub(super) fn is_living(&self) -> bool {
        self.liveness.lives()
    }
}

/// Everybody else.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<NodeName, Entry>,
    /// How often one was found to be so: as a newcomer, in a new life, or as it was not before.
    pub(super) transitions: BTreeMap<Liveness, u64>,
}

impl Directory {
    /// Looks at all that foca holds; says which members are another now. `own` is left out: what foca
    /// holds under it are rivals and earlier lives.
    pub(super) fn refresh<'a>(
        &mut self,
        states: impl Iterator<Item = &'a foca::Member<Identity>>,
        own: &NodeName,
        records: &Records,
        now: Moment,
    ) -> Vec<NodeName> {
        let others = states.filter(|member| member.id().name() != own);
        others.filter(|member| self.look(member, records, now)).map(|member| member.id().name().clone()).collect()
    }

    /// Looks at one; says whether it is another now.
    pub(super) fn look(&mut self, member: &foca::Member<Identity>, records: &Records, now: Moment) -> bool {
        let (identity, incarnation, state) = (member.id(), member.incarnation(), member.state());
        let liveness = liveness(identity, state, records);
        let is_another = match self.entries.get_mut(identity.name()) {
            Some(entry) if entry.identity == *identity => {
                entry.incarnation = incarnation;
                entry.state = state;
                entry.judge(liveness, now)
            }
            _ => {
                let entry = Entry::new(identity.clone(), incarnation, state, liveness, now);
                self.entries.insert(identity.name().clone(), entry);
                true
            }
        };
        self.note(is_another, liveness)
    }

    /// Counts it where it is another.
    fn note(&mut self, is_another: bool, liveness: Liveness) -> bool {
        if is_another {
            *self.transitions.entry(liveness).or_default() += 1;
        }
        is_another
    }

    /// A member's record is another: whether the member is too.
    pub(super) fn judge(&mut self, name: &NodeName, records: &Records, now: Moment) -> bool {
        let Some(entry) = self.entries.get_mut(name) else { return false };
        let liveness = liveness(&entry.identity, entry.state, records);
        let is_another = entry.judge(liveness, now);
        self.note(is_another, liveness)
    }

    pub(super) fn get(&self, name: &NodeName) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The entry of this very life.
    pub(super) fn of(&mut self, identity: &Identity) -> Option<&mut Entry> {
        self.entries.get_mut(identity.name()).filter(|entry| entry.identity == *identity)
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.is_living())
    }

    /// Everybody as the model has it.
    pub(super) fn members(&self, records: &Records) -> BTreeMap<NodeName, Member> {
        let member = |(name, entry): (&NodeName, &Entry)| {
            let record = records.get(name).map(|stored| stored.record.clone());
            let member = Member {
                name: name.clone(),
                epoch: entry.identity.epoch(),
                addr: entry.identity.addr(),
                liveness: entry.liveness,
                verdict: entry.verdict,
                since: entry.since,
                record: record.filter(|record| record.epoch <= entry.identity.epoch()),
                refused: entry.refused.clone(),
            };
            (name.clone(), member)
        };
        self.entries.iter().map(member).collect()
    }
}

impl Entry {
    fn judge(&mut self, liveness: Liveness, now: Moment) -> bool {
        if self.liveness == liveness {
            return false;
        }
        self.liveness = liveness;
        self.since = now;
        if liveness == Liveness::Alive {
            self.verdict = Verdict::Unasked;
            self.question = None;
        }
        true
    }
}

/// Left and failed are one to foca: the record tells them apart, before foca knows of either.
fn liveness(identity: &Identity, state: State, records: &Records) -> Liveness {
    let record = records.get(identity.name()).map(|stored| &stored.record);
    let left = record.is_some_and(|r| r.state == model::State::Left && r.epoch >= identity.epoch());
    match state {
        _ if left => Liveness::Left,
        State::Alive => Liveness::Alive,
        State::Suspect => Liveness::Suspect,
        State::Down => Liveness::Failed,
    }
}
