//! foca and its cures: what is fed to it, and what is done with what it wants.

use std::{net::SocketAddr, time::Duration};

use foca::{Incarnation, Member, State, Timer};
use rand::seq::IteratorRandom;

use super::{
    Core, Effect, Node,
    leave::Phase,
    outbox::{Note, Outbox, Sent, SentKind},
    packet::{self, Packet},
    timers::Alarm,
};
use crate::{
    cluster::{
        identity::Identity,
        message::{Held, Message},
    },
    model::{Liveness, Moment, NodeName},
};

/// Members beyond these are not taken in: forged ones could fill the memory.
const MAX_MEMBERS: usize = if cfg!(test) { 20 } else { 10_000 };
/// How often a node that knows nobody alive greets those it knew.
const GREET_EVERY: Duration = Duration::from_secs(1);
/// How many of them.
const GREET: usize = 8;

impl Node {
    /// Lets foca do something, and does what it wants.
    pub(super) fn with_foca(&mut self, act: impl FnOnce(&mut Core, &mut Outbox) -> Result<(), foca::Error>) {
        if let Err(error) = act(&mut self.foca, &mut self.outbox) {
            self.count(reason(&error));
        }
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        for (after, timer) in std::mem::take(&mut self.outbox.timers) {
            let at = self.now + after;
            let at = if is_periodic(&timer) { self.on_beat(at) } else { at };
            self.timers.set(at, Alarm::Foca(timer));
        }
        for sent in std::mem::take(&mut self.outbox.packets) {
            self.post(&sent);
        }
        for note in std::mem::take(&mut self.outbox.notes) {
            self.dirty = true;
            match note {
                Note::ProbeFailed(member) => {
                    self.probes_failed += 1;
                    self.vitals.failed();
                    self.tell_suspect(&member);
                }
                Note::Defunct if self.phase == Phase::Running => self.renew(),
                // What foca does by itself with identities that renew themselves.
                Note::Defunct if !self.config.cures.deaf_leaver => self.change_identity(self.identity().addr()),
                Note::Defunct | Note::Members => {}
            }
        }
        if self.foca.num_members() == 0 && self.phase == Phase::Running && !self.greeting {
            self.greeting = true;
            self.timers.set(self.now + GREET_EVERY, Alarm::Greet);
        }
    }

    /// The moment of our own beat for something due at `at`.
    fn on_beat(&self, at: Moment) -> Moment {
        self.config.profile.on_beat(at.saturating_sub(self.offset)) + self.offset
    }

    /// Sends a packet of foca's.
    fn post(&mut self, sent: &Sent) {
        let payload = Message::Foca(&sent.bytes).encode();
        let to = sent.to.addr();
        if let SentKind::Ping(number) = sent.kind {
            self.vitals.probed(number, sent.to.clone(), self.now);
        }
        match sent.kind {
            SentKind::Ping(number) if self.config.cures.probe_twice => {
                self.probe = Some((number, sent.to.clone(), payload.clone()));
                self.timers.set(self.now + self.config.profile.probe_rtt / 2, Alarm::ProbeAgain(number));
            }
            SentKind::PingReq if self.config.cures.probe_twice => {
                self.out.push(Effect::Send { to, payload: payload.clone() });
            }
            // In its stead: the mere notice would have it renew itself, and win the name back.
            SentKind::TurnUndead if self.tell_rival(&sent.to) => return,
            _ => {}
        }
        self.out.push(Effect::Send { to, payload });
    }

    /// Tells somebody that another has its name by now, if that is so.
    fn tell_rival(&mut self, dead: &Identity) -> bool {
        let holder = self.directory.get(dead.name()).filter(|entry| entry.is_living()).map(|e| e.identity.clone());
        let own = (dead.name() == self.identity().name()).then(|| self.identity().clone());
        let holder = holder.or(own).filter(|holder| holder.is_rival(dead) && holder > dead);
        let is_held = holder.is_some();
        if let Some(holder) = holder {
            self.send(dead.addr(), &Message::Held(Held { holder }));
        }
        is_held
    }

    /// A probe that was not answered within half its time is sent once more: one lost packet in ten would
    /// else make a suspect of every fifth probed.
    pub(super) fn probe_again(&mut self, number: u8) {
        if let Some((_, to, payload)) = self.probe.take_if(|(sent, ..)| *sent == number) {
            self.out.push(Effect::Send { to: to.addr(), payload });
        }
    }

    /// A packet of foca's.
    pub(super) fn packet(&mut self, bytes: &[u8]) {
        let Ok(mut packet) = Packet::parse(bytes) else { return self.count("malformed packet") };
        let header = &packet.header;
        let to_us = header.dst == *self.identity();
        let greets_us = header.message == foca::Message::Announce && header.dst.name() == self.identity().name();
        if !to_us && !greets_us {
            return self.misaddressed(header);
        }
        let (src, incarnation) = (header.src.clone(), header.src_incarnation);
        if let foca::Message::Ack(number) = &header.message {
            self.vitals.acked(*number, &src, self.now);
        }
        if let (foca::Message::Ack(number), Some((sent, to, _))) = (&header.message, &self.probe)
            && number == sent
            && src == *to
        {
            self.timers.cancel(&Alarm::ProbeAgain(*number));
            self.probe = None;
        }
        if let foca::Message::ForwardedAck { origin, .. } = &header.message {
            self.vouched(&origin.clone());
        }
        if self.admit(vec![Member::new(src.clone(), incarnation, State::Alive)]).is_empty() {
            return;
        }
        packet.members.retain(|member| self.is_news(member));
        packet.members = self.admit(packet.members);
        if self.phase == Phase::Done {
            return;
        }
        // Before foca hears: a leaver's last packet says that it is down, and brings its last record.
        let entry = self.directory.of(&src).filter(|entry| entry.is_active());
        let (was_active, is_new) = (entry.is_some(), entry.is_none_or(|entry| entry.incarnation < incarnation));
        self.touched.extend(packet.members.iter().map(|member| member.id().name().clone()));
        self.touched.extend(is_new.then(|| src.name().clone()));
        let core = packet.core();
        self.with_foca(|foca, outbox| foca.handle_data(&core, outbox));
        self.refresh();
        if was_active || self.directory.of(&src).is_some_and(|entry| entry.is_active()) {
            for item in &packet.items {
                self.item(&src, item);
            }
        }
    }

    /// A packet for another node, as addresses are used again, or for an earlier life of ours: then its
    /// sender is one that we forgot when we began anew, and is told of this life. It would find out when it
    /// has declared the earlier one down.
    fn misaddressed(&mut self, header: &foca::Header<Identity>) {
        let (src, dst, own) = (&header.src, &header.dst, self.identity());
        if dst.name() != own.name() || dst > own || src.name() == own.name() || self.directory.get(src.name()).is_some()
        {
            return;
        }
        let src = src.clone();
        self.meet(&src);
        self.with_foca(|foca, outbox| foca.announce(src, outbox));
    }

    /// Whether foca would learn anything: most of what packets say of members was said before, and looking at
    /// all members after each costs more than all else.
    fn is_news(&self, member: &Member<Identity>) -> bool {
        let known = self.directory.get(member.id().name()).filter(|entry| entry.identity == *member.id());
        known.is_none_or(|entry| entry.is_news(member.incarnation(), member.state()))
    }

    /// What may be fed to foca of what others say of members. Of our own name only what we bear ourselves:
    /// foca would take any other life under it for an old one and tell all that it is down.
    pub(super) fn admit(&mut self, members: Vec<Member<Identity>>) -> Vec<Member<Identity>> {
        let mut room = MAX_MEMBERS.saturating_sub(self.directory.entries.len());
        members.into_iter().filter(|member| self.admits(member, &mut room)).collect()
    }

    fn admits(&mut self, member: &Member<Identity>, room: &mut usize) -> bool {
        let id = member.id();
        if id.name() == self.identity().name() {
            return id == self.identity() || self.meets_namesake(member);
        }
        if self.directory.get(id.name()).is_some() {
            return true;
        }
        if *room == 0 {
            self.count("too many members");
            return false;
        }
        *room -= 1;
        true
    }

    /// Somebody else under our name: an earlier life of ours, or a rival.
    fn meets_namesake(&mut self, member: &Member<Identity>) -> bool {
        let (id, own) = (member.id(), self.identity());
        let greater = id > own;
        if greater && id.is_rival(own) && member.state() != State::Down {
            self.lose_name(id);
        } else if greater {
            // A life of ours of which we did not know, for the clock stepped back, or a rival that is gone.
            // All others think it the newer one.
            self.heard = self.heard.max(Some(id.epoch()));
            self.renew();
        } else {
            self.tell_rival(&id.clone());
        }
        false
    }

    /// Another living node has our name, and its claim is the better one.
    pub(super) fn lose_name(&mut self, by: &Identity) {
        if self.phase == Phase::Running {
            self.phase = Phase::Done;
            self.timers.clear();
            self.out.push(Effect::NameLost { by: by.clone() });
        }
    }

    /// Begins a new life, above all that is known of our name.
    pub(super) fn renew(&mut self) {
        self.begin_anew(self.identity().addr());
    }

    /// This host's address is another. An address is part of a life: the next one, at that place, wins over this one
    /// wherever it is known.
    pub(super) fn moved(&mut self, addr: SocketAddr) {
        if addr != self.identity().addr() {
            self.begin_anew(addr);
        }
    }

    fn begin_anew(&mut self, addr: SocketAddr) {
        if self.phase != Phase::Running {
            return;
        }
        let from = self.identity().addr();
        self.change_identity(addr);
        let own = self.own.clone();
        self.publish(own);
        let moved = (from != addr).then_some(addr);
        self.out.push(Effect::Renewed { epoch: self.identity().epoch(), moved });
    }

    fn change_identity(&mut self, addr: SocketAddr) {
        let renewed = self.identity().renewed(self.heard).at(addr);
        self.outbox.incarnation = 0;
        self.with_foca(|foca, outbox| foca.change_identity(renewed, outbox));
        if self.config.cures.mute_rejoin {
            // foca connects, and sets its timers, at the next update only, which may never come.
            self.with_foca(|foca, outbox| foca.apply_many(std::iter::empty(), true, outbox));
        }
    }

    /// Has foca take in what is known of members; `spread` tells it on.
    pub(super) fn apply(&mut self, members: Vec<Member<Identity>>, spread: bool) {
        self.dirty = true;
        self.with_foca(|foca, outbox| foca.apply_many(members.into_iter(), spread, outbox));
        self.refresh();
    }

    /// Somebody speaks: it lives.
    pub(super) fn meet(&mut self, who: &Identity) {
        let known = self.directory.of(who).is_some_and(|entry| entry.is_active());
        if !known {
            let met = self.admit(vec![Member::alive(who.clone())]);
            self.apply(met, true);
        }
    }

    /// Suspects a member, as foca does whose probe failed: tells it and all, and declares it down in the end.
    pub(super) fn suspect(&mut self, who: &Identity, incarnation: Incarnation) {
        self.apply(vec![Member::new(who.clone(), incarnation, State::Suspect)], true);
        self.tell_suspect(who);
        let over = self.now + self.config.profile.suspicion_for(self.size);
        self.timers.set(over, Alarm::Down(who.clone(), incarnation));
    }

    /// The time in which a suspect of ours could refute is over.
    pub(super) fn declare_down(&mut self, suspect: &Identity, incarnation: Incarnation) {
        if self.is_suspect(suspect, Some(incarnation)) {
            self.apply(vec![Member::new(suspect.clone(), incarnation, State::Down)], true);
        }
    }

    /// One of foca's timers.
    pub(super) fn timer(&mut self, timer: Timer<Identity>) {
        if let Timer::ChangeSuspectToDown { member_id, incarnation, .. } = &timer
            && self.config.cures.stale_timers
            && !self.is_suspect(member_id, Some(*incarnation))
        {
            return;
        }
        self.with_foca(|foca, outbox| foca.handle_timer(timer, outbox));
        self.refresh();
    }

    fn is_suspect(&self, id: &Identity, incarnation: Option<u16>) -> bool {
        let member = self.foca.iter_membership_state().find(|member| member.id() == id);
        member.is_some_and(|m| m.state() == State::Suspect && incarnation.is_none_or(|i| m.incarnation() == i))
    }

    /// Tells a suspect that it is one, so that it can refute, and goes on until it has or is down: foca
    /// tells everybody but the suspect.
    pub(super) fn tell_suspect(&mut self, suspect: &Identity) {
        if self.config.cures.suspect_again && self.suspects.insert(suspect.clone()) {
            self.timers.set(self.now, Alarm::SuspectAgain(suspect.clone()));
        }
    }

    /// A member became another: where it is a suspect, looks back later. One that never heard of it never
    /// refutes, and nobody whose own probe did not fail sets a timer.
    pub(super) fn consider_telling(&mut self, name: &NodeName) {
        let suspect = self.directory.get(name).filter(|entry| entry.liveness == Liveness::Suspect);
        if let Some(suspect) = suspect.map(|entry| entry.identity.clone()) {
            let over = self.config.profile.suspicion_for(self.size).mul_f64(1.5);
            self.timers.set(self.now + over, Alarm::Overdue(suspect));
        }
    }

    pub(super) fn suspect_again(&mut self, suspect: &Identity) {
        let member = self.foca.iter_membership_state().find(|member| member.id() == suspect);
        let Some(member) = member.filter(|member| member.state() == State::Suspect).cloned() else {
            self.suspects.remove(suspect);
            return;
        };
        let header = foca::Header {
            src: self.identity().clone(),
            src_incarnation: self.outbox.incarnation,
            dst: suspect.clone(),
            // Its answer bears no number that foca waits for, but the new incarnation.
            message: foca::Message::Ping(0),
        };
        let packet = packet::write(&header, &[member]);
        self.send(suspect.addr(), &Message::Foca(&packet));
        self.timers.set(self.now + self.config.profile.suspect_again, Alarm::SuspectAgain(suspect.clone()));
    }

    /// Nobody is alive: greets some of those that failed. foca has no timers then, and two halves of a
    /// split pair would wait for one another for ever.
    pub(super) fn greet(&mut self) {
        self.greeting = false;
        if self.foca.num_members() > 0 || !self.config.cures.idle {
            return;
        }
        let failed = self.directory.entries.values().filter(|entry| entry.liveness == Liveness::Failed);
        let chosen = failed.map(|entry| entry.identity.clone()).sample(&mut self.rng, GREET);
        for member in chosen {
            self.with_foca(|foca, outbox| foca.announce(member, outbox));
        }
        self.flush();
    }
}

/// Whether it comes again and again: then it may come a little sooner or later.
fn is_periodic(timer: &Timer<Identity>) -> bool {
    match timer {
        Timer::ProbeRandomMember(_)
        | Timer::SendIndirectProbe { .. }
        | Timer::PeriodicAnnounce(_)
        | Timer::PeriodicAnnounceDown(_)
        | Timer::PeriodicGossip(_) => true,
        Timer::ChangeSuspectToDown { .. } | Timer::RemoveDown(_) => false,
    }
}

/// A short name of what foca found wrong with its input.
fn reason(error: &foca::Error) -> &'static str {
    match error {
        foca::Error::DataTooBig => "packet too long",
        foca::Error::DataFromOurselves | foca::Error::IndirectForOurselves => "packet of our own",
        foca::Error::MalformedPacket | foca::Error::Decode(_) => "malformed packet",
        _ => "packet",
    }
}
