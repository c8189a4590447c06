//! What a step takes over into the status, and says aloud where it is new: holds, refusals, sources, certificates.

use std::sync::Arc;

use backchat_contract::{Desired, Driver, Plane};

use super::{Aim, Stepper};
use crate::{
    model::{Flapping, Snapshot, SourceState},
    reconcile::tally,
};

impl<D: Driver> Stepper<D> {
    /// Takes over what was aimed at, and says what is new about it.
    pub(super) fn note(&mut self, known: &[Snapshot], aim: Aim, live: &Desired, plane: Plane) {
        for hold in aim.held.iter().filter(|h| !self.held.iter().any(|old| old.id == h.id)) {
            tracing::warn!(hold = %hold.id, "held: {}; backchat release {} lets it go", hold.why, hold.id);
        }
        for hold in self.held.iter().filter(|old| !aim.held.iter().any(|h| h.id == old.id)) {
            tracing::info!(hold = %hold.id, "hold ended");
        }
        self.note_sources(known);
        self.note_certificates();
        // Both are sorted.
        for refused in aim.rejections.iter().filter(|r| self.status.rejections.binary_search(r).is_err()) {
            tracing::warn!(node = %refused.node, "refused {}: {}", refused.subject, refused.why);
        }
        let begins = |f: &&Flapping| !self.status.flapping.iter().any(|old| (&old.id, old.times) == (&f.id, f.times));
        for flap in aim.flapping.iter().filter(begins) {
            let (who, left, id) = (flap.who(), flap.left.as_secs_f32().ceil(), &flap.id);
            tracing::warn!(%who, "came back {}: held down for {left} s; backchat release {id} lets it in", flap.how_often());
        }
        // A release lasts until the endpoint is out, however long it drains, or its member is back.
        self.released.retain(|id| live.endpoint(id).is_some() && aim.next.endpoint(id).is_none());
        self.held.clone_from(&aim.held);
        self.cut = aim.cut;
        if self.status.ledger.as_deref() != Some(&aim.ledger) {
            self.status.ledger = Some(Arc::new(aim.ledger));
        }
        self.status.synced = known.iter().all(|s| s.synced);
        self.status.desired = Arc::new(aim.next);
        self.status.live = Arc::new(live.clone());
        self.status.held = aim.held;
        self.status.flapping = aim.flapping;
        self.status.rejections = aim.rejections;
        self.status.plane = plane;
        self.status.plane_up = true;
    }

    /// What each source knows, and what is new about its trouble.
    fn note_sources(&mut self, known: &[Snapshot]) {
        let sources: Vec<_> = known.iter().map(SourceState::of).collect();
        for source in &sources {
            let before = self.status.sources.iter().find(|before| before.name == source.name);
            match (before.and_then(|before| before.trouble.as_ref()), &source.trouble) {
                (before, Some(why)) if before != Some(why) => {
                    tally::source_failed(&mut self.status.tally, &source.name);
                    tracing::warn!("{why}; {}", source.meanwhile());
                }
                (Some(_), None) => tracing::info!(source = %source.name, "is well again"),
                _ => {}
            }
        }
        self.status.sources = sources;
    }

    /// What is wrong with the files of certificates, and what is new about that.
    fn note_certificates(&mut self) {
        let troubles = self.settings.certificates.as_ref().map(|shelf| shelf.borrow().troubles.clone());
        let troubles = troubles.unwrap_or_default();
        for why in troubles.iter().filter(|why| !self.status.certificate_troubles.contains(why)) {
            tracing::warn!("certificate: {why}");
        }
        self.status.certificate_troubles = troubles;
    }
}
