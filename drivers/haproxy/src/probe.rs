//! The first look at newcomers. HAProxy checks a server that is down at its `downinter`, and a short one would
//! have a rack that failed asked thousands of times a second: so we ask the newcomers ourselves, at once, and
//! tell HAProxy of those that listen. Its own checks go on from there.
//!
//! Only for servers that we opened a moment ago: one that went down later is HAProxy's to judge.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use backchat_contract::EndpointAddr;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use crate::{
    observe::{Flavour, Newcomer, Observed, PATIENCE, Place},
    plan::Action,
    protocol::{Command, ServerPath},
};

/// How long one connect may take: an observation waits for it.
const CONNECT: Duration = Duration::from_millis(20);

/// Connects at a time.
const AT_A_TIME: usize = 64;

/// What was opened when.
#[derive(Debug, Default)]
pub(crate) struct Newcomers(BTreeMap<ServerPath, Instant>);

impl Newcomers {
    /// Remembers the servers that these actions opened.
    pub(crate) fn opened(&mut self, actions: &[Action], now: Instant) {
        let opened = actions.iter().filter_map(|action| match action {
            Action::Run(Command::HealthDown(server)) => Some((server.clone(), now)),
            _ => None,
        });
        self.0.extend(opened);
    }

    /// Asks those that are still down, and forgets the others.
    pub(crate) async fn look(&mut self, observed: &mut Observed, flavour: &Flavour, now: Instant) {
        let young = |since: &Instant| now.saturating_duration_since(*since) < PATIENCE;
        let mut open = BTreeMap::new();
        let mut asked = Vec::new();
        for place in observed.down.keys() {
            let path = flavour.path(&place.0, &place.1);
            let Some(since) = self.0.get(&path).copied().filter(young) else { continue };
            let Some(server) = observed.layout.backends.get(&place.0).and_then(|b| b.servers.get(&place.1)) else {
                continue;
            };
            asked.push((place.clone(), server.addr.get(), now.saturating_duration_since(since)));
            open.insert(path, since);
        }
        self.0 = open;
        observed.newcomers = ask(asked).await;
    }
}

/// Which of these servers take a connection, asked once, all together.
pub(crate) async fn listening(servers: Vec<(ServerPath, EndpointAddr)>) -> Vec<ServerPath> {
    let mut under_way = JoinSet::new();
    for (path, addr) in servers.into_iter().take(AT_A_TIME) {
        under_way.spawn(async move { (path, listens(addr.get()).await) });
    }
    under_way.join_all().await.into_iter().filter(|(_, listens)| *listens).map(|(path, _)| path).collect()
}

async fn ask(mut places: Vec<(Place, SocketAddr, Duration)>) -> BTreeMap<Place, Newcomer> {
    let mut newcomers = BTreeMap::new();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_A_TIME
            && let Some((place, addr, lasted)) = places.pop()
        {
            under_way.spawn(async move { (place, Newcomer { listens: listens(addr).await, lasted }) });
        }
        match under_way.join_next().await {
            Some(Ok((place, newcomer))) => drop(newcomers.insert(place, newcomer)),
            // It was not asked: HAProxy's own check comes.
            Some(Err(_)) => {}
            None => return newcomers,
        }
    }
}

async fn listens(addr: SocketAddr) -> bool {
    matches!(timeout(CONNECT, TcpStream::connect(addr)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_who_listens() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let unused = tokio::net::TcpSocket::new_v4().unwrap();
        unused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let place = |n: usize| (crate::layout::BackendName::spare(n), "web1".parse().unwrap());
        // More than are asked at a time.
        let addr = |n| if n % 2 == 0 { listener.local_addr().unwrap() } else { unused.local_addr().unwrap() };
        let asked = (0..100).map(|n| (place(n), addr(n), Duration::ZERO)).collect();
        let newcomers = ask(asked).await;
        assert_eq!(newcomers.len(), 100);
        assert!((0..100).all(|n| newcomers[&place(n)].listens == (n % 2 == 0)));
    }
}
