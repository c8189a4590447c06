//! Datagrams: sealed and sent, received and opened. What cannot be opened is counted, and that is all.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use rand::{RngExt, rngs::StdRng};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    cluster::{
        counters::Counters,
        sync::Speaker,
        transport::{canonical, for_socket},
        wire::{Context, Envelope, Header, MAX_DATAGRAM, Peers, Rejected},
    },
    model::Moment,
};

/// Senders whose packets are told from replays, at most: some 4 MiB.
const PEERS: usize = 16_384;

/// What came of looking for a datagram.
pub(super) enum Received {
    /// There was none.
    Nothing,
    /// It was not taken.
    Rejected,
    /// Where from, and what was in the envelope.
    Taken(SocketAddr, Vec<u8>),
}

/// The UDP socket and what it takes to use it.
pub(super) struct Radio {
    udp: AsyncFd<UdpSocket>,
    local: SocketAddr,
    envelope: Arc<Envelope>,
    /// Of the next packet.
    header: Header,
    peers: Peers,
    rng: StdRng,
    counters: Arc<Counters>,
    buffer: Vec<u8>,
}

impl Radio {
    pub(super) fn new(udp: AsyncFd<UdpSocket>, local: SocketAddr, speaker: &Speaker, counters: Arc<Counters>) -> Self {
        Self {
            udp,
            local,
            envelope: Arc::clone(&speaker.envelope),
            header: Header { sender: speaker.sender, boot: speaker.boot, counter: 0 },
            peers: Peers::new(speaker.sender, PEERS),
            rng: rand::make_rng(),
            counters,
            // One byte more than a datagram may have: so that a longer one is seen to be.
            buffer: vec![0; MAX_DATAGRAM + 1],
        }
    }

    /// Packets are of this life from now on.
    pub(super) fn boot(&mut self, boot: u64) {
        self.header.boot = boot;
    }

    /// Returns when a datagram is here.
    pub(super) async fn readable(&self) {
        // An error shows again at the next receive, where it is said.
        let _ = self.udp.readable().await;
    }

    /// Sends a datagram. One that the system has no room for is lost, as the network may lose any.
    pub(super) fn send(&mut self, to: SocketAddr, payload: &[u8]) {
        let packet = self.envelope.seal(self.header, Context::Datagram, &self.rng.random(), payload);
        self.header.counter += 1;
        let sent = self.udp.get_ref().send_to(&packet, for_socket(self.local, to));
        if let Err(error) = &sent {
            tracing::debug!(%to, %error, "cannot send");
        }
        self.counters.sent(sent.is_ok());
    }

    /// Takes the next datagram.
    pub(super) fn receive(&mut self, now: Moment) -> Received {
        let (length, from) = match self.udp.try_io(Interest::READABLE, |udp| udp.recv_from(&mut self.buffer)) {
            Ok(received) => received,
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::debug!(%error, "cannot receive");
                }
                return Received::Nothing;
            }
        };
        self.counters.received();
        match self.open(length, now) {
            Ok(payload) => {
                self.counters.heard(now);
                Received::Taken(canonical(from), payload)
            }
            Err(why) => {
                self.counters.rejected(why);
                tracing::trace!(%from, "a packet was not taken: {why}");
                Received::Rejected
            }
        }
    }

    fn open(&mut self, length: usize, now: Moment) -> Result<Vec<u8>, Rejected> {
        let packet = self.buffer.get(..length).filter(|packet| packet.len() <= MAX_DATAGRAM).ok_or(Rejected::Long)?;
        let (header, payload) = self.envelope.open(Context::Datagram, packet)?;
        // Unsealed, a header is anybody's word: remembering it would let a stranger shut a member out.
        if self.envelope.keys().is_some() {
            self.peers.admit(header, now)?;
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::{
        identity::Identity,
        keyring::{Key, Keyring},
        sync::Hello,
        transport::readable,
        wire::sender_id,
    };

    /// A node's radio on a free port.
    fn radio(name: &str, boot: u64, key: Option<&Key>) -> (Radio, SocketAddr) {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let addr = udp.local_addr().unwrap();
        let udp = readable(udp).unwrap();
        let speaker = Speaker {
            envelope: Arc::new(Envelope::new(&"x".parse().unwrap(), key.cloned().map(Keyring::new))),
            sender: sender_id(name, addr),
            boot,
            hello: Hello { from: Identity::new(name.parse().unwrap(), boot, addr), number: [0; 16].into() },
        };
        (Radio::new(udp, addr, &speaker, Arc::default()), addr)
    }

    async fn next(radio: &mut Radio) -> Option<Vec<u8>> {
        loop {
            tokio::time::timeout(Duration::from_secs(10), radio.readable()).await.expect("nothing comes");
            match radio.receive(Duration::ZERO) {
                Received::Nothing => {}
                Received::Rejected => return None,
                Received::Taken(_, payload) => return Some(payload),
            }
        }
    }

    fn rejected(radio: &Radio) -> Vec<(&'static str, u64)> {
        radio.counters.read().rejected.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Everything a node sent, sent again by somebody who recorded it: while the node lives, and after.
    #[tokio::test]
    async fn a_recorded_packet_is_not_taken_again() {
        let key = Key::generate();
        let (mut hearer, hearer_addr) = radio("hearer", 1, Some(&key));
        let (mut speaker, _) = radio("speaker", 5, Some(&key));
        let recorder = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut tape = Vec::new();
        for n in 0..3u8 {
            speaker.send(recorder.local_addr().unwrap(), &[n]);
            let mut packet = vec![0; 1500];
            let length = recorder.recv(&mut packet).await.unwrap();
            packet.truncate(length);
            recorder.send_to(&packet, hearer_addr).await.unwrap();
            assert_eq!(next(&mut hearer).await, Some(vec![n]));
            tape.push(packet);
        }
        for packet in &tape {
            recorder.send_to(packet, hearer_addr).await.unwrap();
            assert_eq!(next(&mut hearer).await, None);
        }
        assert_eq!(rejected(&hearer), [("replay", 3)]);
        speaker.boot(6);
        speaker.send(hearer_addr, b"new life");
        assert_eq!(next(&mut hearer).await, Some(b"new life".to_vec()));
        recorder.send_to(&tape[2], hearer_addr).await.unwrap();
        assert_eq!(next(&mut hearer).await, None);
        assert_eq!(rejected(&hearer), [("replay", 3), ("stale", 1)]);
    }

    #[tokio::test]
    async fn without_a_key_no_stranger_can_shut_a_member_out() {
        let (mut hearer, hearer_addr) = radio("hearer", 1, None);
        let (mut speaker, _) = radio("speaker", 5, None);
        let last = Header { boot: u64::MAX, counter: u64::MAX, ..speaker.header };
        let forged = speaker.envelope.seal(last, Context::Datagram, &[0; 24], b"forged");
        speaker.udp.get_ref().send_to(&forged, hearer_addr).unwrap();
        next(&mut hearer).await;
        speaker.send(hearer_addr, b"true");
        assert_eq!(next(&mut hearer).await, Some(b"true".to_vec()));
    }

    #[tokio::test]
    async fn our_own_packets_and_long_ones_are_nothing() {
        let key = Key::generate();
        let (mut radio, addr) = radio("one", 1, Some(&key));
        radio.send(addr, b"to ourselves");
        assert_eq!(next(&mut radio).await, None);
        radio.send(addr, &[0; MAX_DATAGRAM]);
        assert_eq!(next(&mut radio).await, None);
        assert_eq!(rejected(&radio), [("long", 1), ("own", 1)]);
        assert_eq!(radio.counters.last_heard(), None);
    }
}
