//! What has been seen of each sender: a packet is taken once, and a life that ended stays ended.
//!
//! Only opened packets come here, so only holders of a key can fill the table, and it is bounded for
//! them too. It begins empty: what a capture from before a restart may still do is for a later
//! challenge of unknown senders to say, and [`Peers::admit`] is the place for it.

use std::collections::HashMap;

use super::{Header, Rejected};
use crate::model::Moment;

/// How many packets back one that was overtaken is still taken.
const WINDOW: u64 = 1024;
/// One word more than the 16 that the window holds, so that the word being filled never wipes one still in use.
const WORDS: usize = 17;

/// The senders heard, at most `capacity` of them: the one silent for longest makes room.
#[derive(Debug)]
pub struct Peers {
    me: u64,
    capacity: usize,
    seen: HashMap<u64, Peer>,
}

#[derive(Debug)]
struct Peer {
    boot: u64,
    heard: Moment,
    window: Window,
}

impl Peers {
    /// An empty table of a node whose own sender id is `me`.
    pub fn new(me: u64, capacity: usize) -> Self {
        Self { me, capacity, seen: HashMap::new() }
    }

    /// Whether an opened packet is new. Remembers it if it is.
    pub fn admit(&mut self, header: Header, now: Moment) -> Result<(), Rejected> {
        if header.sender == self.me {
            return Err(Rejected::Own);
        }
        let Some(peer) = self.seen.get_mut(&header.sender) else {
            self.make_room();
            self.seen.insert(header.sender, Peer::new(header, now));
            return Ok(());
        };
        match header.boot.cmp(&peer.boot) {
            std::cmp::Ordering::Less => return Err(Rejected::Stale),
            std::cmp::Ordering::Greater => *peer = Peer::new(header, now),
            std::cmp::Ordering::Equal if !peer.window.take(header.counter) => return Err(Rejected::Replay),
            std::cmp::Ordering::Equal => peer.heard = now,
        }
        Ok(())
    }

    /// Linear in the table, and only once it is full: some 20 µs at 16,384 senders.
    fn make_room(&mut self) {
        if self.seen.len() < self.capacity {
            return;
        }
        let oldest = self.seen.iter().min_by_key(|(_, peer)| peer.heard).map(|(sender, _)| *sender);
        if let Some(sender) = oldest {
            self.seen.remove(&sender);
        }
    }
}

impl Peer {
    fn new(header: Header, now: Moment) -> Self {
        let mut window = Window::default();
        window.take(header.counter);
        Self { boot: header.boot, heard: now, window }
    }
}

/// The sliding window of RFC 6479: words in a ring, so that moving on clears words and shifts nothing.
#[derive(Debug, Default)]
struct Window {
    top: u64,
    words: [u64; WORDS],
}

impl Window {
    /// Whether the counter is new and not too old; marks it as seen.
    fn take(&mut self, counter: u64) -> bool {
        if self.top.saturating_sub(counter) >= WINDOW {
            return false;
        }
        self.move_to(counter);
        let bit = 1 << (counter % 64);
        let word = self.word(counter / 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn move_to(&mut self, counter: u64) {
        let (from, to) = (self.top / 64, counter / 64);
        for index in (from..to).rev().map(|n| n + 1).take(self.words.len()) {
            *self.word(index) = 0;
        }
        self.top = self.top.max(counter);
    }

    fn word(&mut self, index: u64) -> &mut u64 {
        let place = usize::try_from(index % WORDS as u64).expect("a remainder of 17 fits");
        &mut self.words[place]
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use proptest::prelude::*;

    use super::*;

    fn header(sender: u64, boot: u64, counter: u64) -> Header {
        Header { sender, boot, counter }
    }

    /// Feeds (boot, counter) of one sender and compares what was taken.
    fn check(packets: &[(u64, u64, Result<(), Rejected>)]) {
        let mut peers = Peers::new(1, 8);
        for (boot, counter, expected) in packets {
            let got = peers.admit(header(7, *boot, *counter), Duration::ZERO);
            assert_eq!(got, *expected, "boot {boot} counter {counter}");
        }
    }

    #[test]
    fn a_packet_is_taken_once() {
        let replay = Err(Rejected::Replay);
        check(&[(5, 1, Ok(())), (5, 1, replay), (5, 3, Ok(())), (5, 2, Ok(())), (5, 2, replay), (5, 3, replay)]);
        check(&[(5, 2000, Ok(())), (5, 977, Ok(())), (5, 976, replay), (5, 977, replay)]);
        check(&[(5, u64::MAX, Ok(())), (5, u64::MAX, replay), (5, 0, replay), (5, u64::MAX - 1023, Ok(()))]);
    }

    #[test]
    fn a_life_that_ended_stays_ended() {
        let stale = Err(Rejected::Stale);
        check(&[(5, 9, Ok(())), (6, 1, Ok(())), (5, 10, stale), (6, 1, Err(Rejected::Replay)), (6, 2, Ok(()))]);
    }

    #[test]
    fn our_own_packets_come_back_as_nothing() {
        let mut peers = Peers::new(1, 8);
        assert_eq!(peers.admit(header(1, 9, 9), Duration::ZERO), Err(Rejected::Own));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_most_silent() {
        let mut peers = Peers::new(1, 4);
        for sender in 10..110 {
            peers.admit(header(2, 5, sender), Duration::from_secs(sender)).unwrap();
            peers.admit(header(sender, 5, 1), Duration::from_secs(sender)).unwrap();
            assert!(peers.seen.len() <= 4);
        }
        assert!(peers.seen.contains_key(&2), "the one heard all along was forgotten");
    }

    proptest! {
        /// The ring says what a set of everything seen would say.
        #[test]
        fn the_window_is_a_set_with_an_edge(steps in prop::collection::vec((0u64..3000, any::<bool>()), 1..300)) {
            let (mut window, mut seen, mut top) = (Window::default(), HashSet::new(), 0u64);
            let mut base = 0u64;
            for (step, ahead) in steps {
                base = if ahead { base + step / 8 } else { base };
                let counter = base.saturating_sub(if ahead { 0 } else { step });
                let expected = counter + WINDOW > top && seen.insert(counter);
                prop_assert_eq!(window.take(counter), expected, "counter {} top {}", counter, top);
                top = top.max(counter);
            }
        }
    }
}
