//! Joining: each address is tried until it is a living member, and again when it no longer is one.

mod address;
mod joiner;
mod progress;

use std::{collections::BTreeMap, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

pub use address::{DEFAULT_PORT, JoinAddr, JoinAddrError};
pub(super) use joiner::{Found, Joiner};
pub(super) use progress::Progress;

use super::view::View;
use crate::model::{Member, NodeName};

/// The first pause between two tries; each is twice the one before. Short: where everything starts at once, the
/// seed is there a moment later.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause: a seed that comes back is joined within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long it may take after an exchange until a member shows.
const SHOWS: Duration = Duration::from_secs(1);
/// How often a name that leads to living members is looked up again: it may lead to more by then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Tries one join address for ever.
pub(super) struct Keeper {
    joiner: Joiner,
    addr: JoinAddr,
    views: watch::Receiver<Arc<View>>,
    progress: Arc<Progress>,
    /// Who answered where: a member may advertise another address than the one it was joined by.
    found: BTreeMap<SocketAddr, Found>,
}

impl Keeper {
    pub(super) fn new(
        joiner: Joiner,
        addr: JoinAddr,
        views: watch::Receiver<Arc<View>>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { joiner, addr, views, progress, found: BTreeMap::new() }
    }

    /// `resolve` looks an address up: anew for each try, for a name may lead elsewhere by then.
    pub(super) async fn run<F>(mut self, resolve: impl Fn(JoinAddr) -> F)
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let places = resolve(self.addr.clone()).await;
            match self.round(places).await {
                Ok(places) => {
                    self.progress.joined();
                    pause = FIRST_PAUSE;
                    self.while_living(&places).await;
                }
                Err(why) => {
                    self.progress.failed(&self.addr, &why, pause);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Joins every place that the address leads to where no living member is. An address may
    /// lead to several: they are joined all, or two halves of a cluster that each found one would not meet.
    async fn round(&mut self, places: io::Result<Vec<SocketAddr>>) -> Result<Vec<SocketAddr>, String> {
        let places = places.map_err(|error| cannot_look_up(&self.addr, &error))?;
        let mut problem = None;
        for place in &places {
            if lives(&self.views.borrow(), *place, self.found.get(place)) {
                continue;
            }
            match self.joiner.exchange(*place).await {
                Ok(found) => drop(self.found.insert(*place, found)),
                Err(error) => problem = Some(format!("{} ({}) {error}", self.addr, place.ip())),
            }
        }
        problem.map_or(Ok(places), Err)
    }

    /// Returns when one of the places no longer is a living member, or when it is time to look again.
    async fn while_living(&mut self, places: &[SocketAddr]) {
        let Self { views, found, .. } = self;
        let all_live = |view: &Arc<View>| places.iter().all(|place| lives(view, *place, found.get(place)));
        // However these waits end, the address is looked at again.
        let shows = matches!(timeout(SHOWS, views.wait_for(all_live)).await, Ok(Ok(_)));
        if shows {
            let _ = timeout(LOOK_AGAIN, views.wait_for(|view| !all_live(view))).await;
        }
    }
}

/// In words, without an errno.
pub(super) fn cannot_look_up(addr: &JoinAddr, error: &io::Error) -> String {
    format!("cannot look up {addr}: {error}")
}

/// Whether a living member, or this node itself, is at a place.
fn lives(view: &View, place: SocketAddr, found: Option<&Found>) -> bool {
    let living = |name: &NodeName| {
        let member = view.snapshot.members.get(name);
        member.is_some_and(Member::lives)
    };
    match found {
        Some(Found::Ourselves) => true,
        Some(Found::Member(name)) => living(name),
        None => {
            let mut members = view.snapshot.members.values();
            place == view.addr || members.any(|member| member.addr == place && living(&member.name))
        }
    }
}

#[cfg(test)]
mod tests;
