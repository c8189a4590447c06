//! A suspicion is a question: a balancer asks the suspect itself, over UDP and TCP, before it acts on it.
//!
//! Any answer keeps it. A refused connection proves that the path works and the process is gone: then the
//! balancer declares it down at once, for all. One that nobody suspected and that answers neither us nor those
//! who ask it for us is a suspect from then on. Those that were declared down unasked are asked as well: the
//! guard needs to know whether we or they are cut off.

use std::{net::SocketAddr, time::Duration};

use foca::State;
use rand::{RngExt, seq::IteratorRandom};

use super::{Effect, Node, Outcome, packet, timers::Alarm};
use crate::{
    cluster::{
        identity::Identity,
        message::{Message, Ping, Pong},
    },
    model::{Kind, Liveness, Moment, NodeName, Verdict},
};

/// Pings within one question.
const PINGS: u32 = 6;
/// Of them, how many come with a connect: its first packet may be lost, and is repeated too late.
const CONNECTS: u32 = 3;
/// How many others ask a member for us.
const HELPERS: usize = 3;
/// Between two questions to a suspect.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);
/// Between two questions to one that failed.
const FAILED_EVERY: Duration = Duration::from_secs(5);
/// How long one that failed is asked again.
const FAILED_FOR: Duration = Duration::from_secs(600);

/// A question that is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Its pings carry this.
    token: u64,
    asked: Moment,
    pings: u32,
    refused: bool,
    /// Whether it answered somebody who asked for us.
    vouched: bool,
    pub(super) ends: Moment,
}

impl Node {
    /// A member became another: asks it, where that is due.
    pub(super) fn consider_asking(&mut self, name: &NodeName) {
        let Some(entry) = self.directory.get(name) else { return };
        let due = match entry.liveness {
            Liveness::Suspect => true,
            Liveness::Failed => matches!(entry.verdict, Verdict::Unasked | Verdict::Answered),
            Liveness::Alive | Liveness::Left => false,
        };
        if due {
            let who = entry.identity.clone();
            self.ask(&who);
        }
    }

    /// Asks a member again, if it is still one to ask.
    pub(super) fn ask_anew(&mut self, who: &Identity) {
        let now = self.now;
        let due = self.directory.of(who).is_some_and(|entry| match entry.liveness {
            Liveness::Suspect => true,
            Liveness::Failed => now.saturating_sub(entry.since) <= FAILED_FOR,
            Liveness::Alive | Liveness::Left => false,
        });
        if due {
            self.ask(who);
        }
    }

    /// Asks a member, unless it is being asked. Only balancers do.
    pub(super) fn ask(&mut self, who: &Identity) {
        let (token, ends) = (self.rng.random(), self.now + self.config.profile.question);
        if self.own.kind != Kind::Balancer {
            return;
        }
        let Some(entry) = self.directory.of(who).filter(|entry| entry.question.is_none()) else { return };
        entry.question = Some(Question { token, asked: self.now, pings: 0, refused: false, vouched: false, ends });
        self.timers.set(ends, Alarm::Verdict(who.clone()));
        self.ask_again(who);
    }

    /// Sends the next ping of a question, and connects: a packet of either may be lost.
    pub(super) fn ask_again(&mut self, who: &Identity) {
        let now = self.now;
        let question = self.directory.of(who).and_then(|entry| entry.question.as_mut());
        let Some(question) = question.filter(|question| question.pings < PINGS && question.ends > now) else { return };
        question.pings += 1;
        let connect = question.pings % (PINGS / CONNECTS) == 1 && !question.refused;
        let (token, nth, within) = (question.token, question.pings, question.ends.saturating_sub(now));
        self.send(who.addr(), &Message::Ping(Ping { to: who.clone(), token }));
        if connect {
            self.out.push(Effect::AskTcp { who: who.clone(), within });
        }
        if nth == 2 {
            self.ask_others(who);
        }
        self.timers.set(now + self.config.profile.question / PINGS, Alarm::AskAgain(who.clone()));
    }

    /// Has others ask one that nobody suspects: it may be our own way to it that is bad.
    fn ask_others(&mut self, who: &Identity) {
        if self.directory.of(who).is_none_or(|entry| entry.liveness != Liveness::Alive) {
            return;
        }
        let others = self.directory.living().map(|entry| &entry.identity).filter(|other| *other != who);
        for helper in others.cloned().sample(&mut self.rng, HELPERS) {
            let header = foca::Header {
                src: self.identity().clone(),
                src_incarnation: self.outbox.incarnation,
                dst: helper.clone(),
                // foca counts its own probes from 1, and takes the answer for none of its business.
                message: foca::Message::PingReq { target: who.clone(), probe_number: 0 },
            };
            let packet = packet::write(&header, &[]);
            for _ in 0..2 {
                self.send(helper.addr(), &Message::Foca(&packet));
            }
        }
    }

    /// Somebody had an answer for us.
    pub(super) fn vouched(&mut self, who: &Identity) {
        if let Some(question) = self.directory.of(who).and_then(|entry| entry.question.as_mut()) {
            question.vouched = true;
        }
    }

    /// Somebody asks whether we live. Only we may answer for us: another may have our address by now.
    pub(super) fn pinged(&mut self, from: SocketAddr, ping: &Ping) {
        if ping.to.name() == self.identity().name() {
            let from_us = self.identity().clone();
            self.send(from, &Message::Pong(Pong { from: from_us, token: ping.token }));
        }
    }

    /// An answer to a question of ours.
    pub(super) fn ponged(&mut self, pong: &Pong) {
        self.watch.heard(&pong.from);
        let asked = self.directory.of(&pong.from).and_then(|entry| entry.question.as_ref());
        if asked.is_some_and(|question| question.token == pong.token) {
            self.conclude(&pong.from, Verdict::Answered);
        }
    }

    /// What came of connecting.
    pub(super) fn asked(&mut self, who: &Identity, outcome: Outcome) {
        match outcome {
            Outcome::Connected => self.conclude(who, Verdict::Answered),
            Outcome::Silent => {}
            Outcome::Refused => {
                // The pings left first: if it lives, their answer is no later than this.
                let soon = self.now + self.config.profile.probe_rtt / 2;
                let Some(question) = self.directory.of(who).and_then(|entry| entry.question.as_mut()) else { return };
                question.refused = true;
                question.ends = soon.min(question.ends);
                self.timers.set(question.ends, Alarm::Verdict(who.clone()));
            }
        }
    }

    /// The time for answers is over.
    pub(super) fn verdict(&mut self, who: &Identity) {
        let (now, all_asked) = (self.now, self.all_asked());
        let last_heard = self.watch.last_heard;
        let Some(question) = self.directory.of(who).and_then(|entry| entry.question.as_mut()) else { return };
        if question.ends > now {
            return;
        }
        if question.refused {
            self.conclude(who, Verdict::Refused);
        } else if last_heard <= question.asked && now < all_asked {
            question.ends = all_asked;
            self.timers.set(all_asked, Alarm::Verdict(who.clone()));
        } else {
            self.conclude(who, Verdict::Silent);
        }
    }

    /// When everybody was asked and had the time to answer, were nobody heard any more: then it may be us who are cut
    /// off, and until then nothing is said of the first who does not answer, for it would be judged alone.
    fn all_asked(&self) -> Moment {
        let profile = &self.config.profile;
        let round = profile.probe_period.min(profile.question * 2);
        self.watch.last_heard + round + profile.probe_rtt + profile.question + profile.beat
    }

    fn conclude(&mut self, who: &Identity, verdict: Verdict) {
        let Some(entry) = self.directory.of(who) else { return };
        let Some(question) = entry.question.take() else { return };
        let (liveness, incarnation) = (entry.liveness, entry.incarnation);
        let suspicious = verdict == Verdict::Silent && !question.vouched;
        // One that nobody suspects and that answers is no news.
        if liveness != Liveness::Alive || verdict == Verdict::Refused || suspicious {
            self.changed |= entry.verdict != verdict;
            entry.verdict = verdict;
        }
        match (liveness, verdict) {
            (Liveness::Alive | Liveness::Suspect, Verdict::Refused) => {
                let down = foca::Member::new(who.clone(), incarnation, State::Down);
                self.apply(vec![down], true);
            }
            (Liveness::Alive, _) if suspicious => {
                self.suspect(who, incarnation);
                self.timers.set(self.now + SUSPECT_EVERY, Alarm::Ask(who.clone()));
            }
            (Liveness::Suspect, _) => {
                if verdict == Verdict::Answered {
                    // It may not have heard that it is one, and would stay one.
                    self.tell_suspect(who);
                }
                self.timers.set(self.now + SUSPECT_EVERY, Alarm::Ask(who.clone()));
            }
            (Liveness::Failed, Verdict::Answered | Verdict::Silent) => {
                if verdict == Verdict::Answered {
                    // It may not know that it was declared down: it begins a new life once it does.
                    self.with_foca(|foca, outbox| foca.announce(who.clone(), outbox));
                }
                self.timers.set(self.now + FAILED_EVERY, Alarm::Ask(who.clone()));
            }
            _ => {}
        }
    }
}
