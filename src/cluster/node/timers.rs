//! Every timer of a node, foca's and ours, in one heap: outside there is only "wake me at".

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use foca::Incarnation;

use crate::{
    cluster::identity::Identity,
    model::{Moment, NodeName},
};

/// What is to be done at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// foca asked for it. It needs every one, in order.
    Foca(foca::Timer<Identity>),
    /// A probe that may not have been answered yet.
    ProbeAgain(u8),
    /// A suspect to be told again.
    SuspectAgain(Identity),
    /// The time in which a suspect of ours could refute, in this incarnation, is over.
    Down(Identity, Incarnation),
    /// A suspicion that should be over.
    Overdue(Identity),
    /// Nobody is alive: greet those that were.
    Greet,
    /// A balancer that may not have acknowledged our record yet.
    Resend(NodeName),
    /// Members whose records are not here.
    Pull,
    /// The periodic exchange.
    Exchange,
    /// The next member to look after.
    Watch,
    /// A member that is looked after may not have answered.
    Watched(Identity),
    /// The next of a question's pings.
    AskAgain(Identity),
    /// The end of a question.
    Verdict(Identity),
    /// The next question to the same.
    Ask(Identity),
    /// The next packet that tells of our leave.
    Goodbye,
    /// Nobody has to know more of our leave.
    Gone,
    /// Members to forget.
    Forget,
}

/// The heap.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    set: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Moment,
    /// Of two at one moment the one that was set first is first.
    nth: u64,
    alarm: Alarm,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.nth).cmp(&(other.at, other.nth))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Timers {
    pub(super) fn set(&mut self, at: Moment, alarm: Alarm) {
        self.set += 1;
        self.heap.push(Reverse(Entry { at, nth: self.set, alarm }));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next one that is due at `now`.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Alarm> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry.alarm)
    }

    /// Drops those that are of no more use, so that nobody wakes for them.
    pub(super) fn cancel(&mut self, alarm: &Alarm) {
        self.heap.retain(|Reverse(entry)| entry.alarm != *alarm);
    }

    /// Puts off what `by` says, each by its own time.
    pub(super) fn put_off(&mut self, by: impl Fn(&Alarm) -> Moment) {
        let later = |Reverse(entry): Reverse<Entry>| Reverse(Entry { at: entry.at + by(&entry.alarm), ..entry });
        self.heap = std::mem::take(&mut self.heap).into_iter().map(later).collect();
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_put_off_comes_later() {
        let mut timers = Timers::default();
        let ms = Duration::from_millis;
        timers.set(ms(10), Alarm::Greet);
        timers.set(ms(20), Alarm::Pull);
        timers.put_off(|alarm| if *alarm == Alarm::Greet { ms(15) } else { Moment::ZERO });
        assert_eq!((timers.pop(ms(20)), timers.pop(ms(20)), timers.next()), (Some(Alarm::Pull), None, Some(ms(25))));
    }

    #[test]
    fn due_ones_come_in_order() {
        let mut timers = Timers::default();
        let ms = Duration::from_millis;
        for (at, alarm) in [(20, Alarm::Greet), (10, Alarm::Pull), (10, Alarm::Forget), (30, Alarm::Gone)] {
            timers.set(ms(at), alarm);
        }
        assert_eq!(timers.next(), Some(ms(10)));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop(ms(20))).collect();
        assert_eq!(due, [Alarm::Pull, Alarm::Forget, Alarm::Greet]);
        assert_eq!(timers.next(), Some(ms(30)));
        timers.cancel(&Alarm::Gone);
        assert_eq!(timers.next(), None);
    }
}
