//! TCP between simulated nodes: exchanges, and the connects of questions.

use std::{net::SocketAddr, time::Duration};

use backchat::cluster::{
    exchange::Exchange,
    node::{Input, Outcome},
};
use rand::RngExt;

use super::world::{Event, World, ms};

/// A frame's place in an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Opening,
    Answer,
    Remainder,
}

impl World {
    /// TCP: a first packet may be lost, and is repeated too late for a question.
    pub(super) fn connect(&mut self, from: SocketAddr, to: SocketAddr, within: Duration) -> (Outcome, Duration) {
        let there = self.network.packet(from, to);
        let back = self.network.packet(to, from);
        let host = self.find(to).map(|i| &self.hosts[i]);
        match (there, back, host) {
            (Some(there), Some(back), Some(host)) if host.up => {
                let outcome = if host.node.is_some() { Outcome::Connected } else { Outcome::Refused };
                (outcome, there + back)
            }
            _ => (Outcome::Silent, within),
        }
    }

    /// Begins an exchange.
    pub(super) fn call(&mut self, i: usize, other: SocketAddr) {
        self.calls += 1;
        let bytes = self.node(i).open_exchange().encode();
        self.send_frame(Step::Opening, self.hosts[i].addr, other, bytes);
    }

    /// A frame of an exchange: TCP repeats what is lost.
    fn send_frame(&mut self, step: Step, caller: SocketAddr, other: SocketAddr, bytes: Vec<u8>) {
        let again = if self.rng.random_bool(self.network.loss) { ms(200) } else { Duration::ZERO };
        let at = self.now + self.network.way() * 2 + again;
        self.at(at, Event::Frame { step, caller, other, bytes });
    }

    pub(super) fn frame(&mut self, step: Step, caller: SocketAddr, other: SocketAddr, bytes: &[u8]) {
        let to = if matches!(step, Step::Answer) { caller } else { other };
        let connected = self.network.connects(caller, other) && self.network.connects(other, caller);
        let Some(i) = self.find(to).filter(|i| connected && self.hosts[*i].node.is_some() && !self.is_stalled(*i))
        else {
            return;
        };
        let exchange = Exchange::decode(bytes).unwrap();
        self.input(i, Input::Exchange(&exchange));
        let node = self.node(i);
        match step {
            Step::Opening => {
                let answer = node.answer_exchange(&exchange).encode();
                self.send_frame(Step::Answer, caller, other, answer);
            }
            Step::Answer => {
                let remainder = node.finish_exchange(&exchange).encode();
                self.send_frame(Step::Remainder, caller, other, remainder);
            }
            Step::Remainder => {}
        }
    }
}
