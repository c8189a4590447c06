//! Datagrams: sealed and sent, received and opened. What cannot be opened is counted, and that is all.

use std::{io, net::SocketAddr, sync::Arc};

use rand::{RngExt, rngs::StdRng};
use tokio::net::UdpSocket;

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
    udp: UdpSocket,
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
    pub(super) fn new(udp: UdpSocket, local: SocketAddr, speaker: &Speaker, counters: Arc<Counters>) -> Self {
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
        let sent = self.udp.try_send_to(&packet, for_socket(self.local, to));
        if let Err(error) = &sent {
            tracing::debug!(%to, %error, "cannot send");
        }
        self.counters.sent(sent.is_ok());
    }

    /// Takes the next datagram.
    pub(super) fn receive(&mut self, now: Moment) -> Received {
        let (length, from) = match self.udp.try_recv_from(&mut self.buffer) {
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
