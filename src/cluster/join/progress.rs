//! What all join addresses have come to: said once for each reason, and held against `--join-timeout`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::JoinAddr;
use crate::cluster::error::Error;

/// Shared by the keepers of one node.
#[derive(Debug)]
pub(in crate::cluster) struct Progress {
    joined: watch::Sender<bool>,
    said: Mutex<HashMap<JoinAddr, String>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { joined: watch::Sender::new(false), said: Mutex::default() }
    }
}

impl Progress {
    /// An address led to a member.
    pub(super) fn joined(&self) {
        if !self.joined.send_replace(true) {
            tracing::info!("joined the cluster");
        }
    }

    /// A try failed.
    pub(super) fn failed(&self, addr: &JoinAddr, why: &str, pause: Duration) {
        let before = self.said().insert(addr.clone(), why.to_owned());
        let pause = pause.as_secs_f32();
        if before.as_deref() == Some(why) {
            tracing::debug!("join: {why}; retrying in {pause:.1} s");
        } else {
            tracing::warn!("join: {why}; retrying in {pause:.1} s");
        }
    }

    /// Returns once no address has led to a member within this time; else never.
    pub(in crate::cluster) async fn give_up_after(&self, limit: Duration) -> Error {
        let mut joined = self.joined.subscribe();
        if tokio::time::timeout(limit, joined.wait_for(|joined| *joined)).await.is_ok() {
            std::future::pending::<()>().await;
        }
        let said = self.said();
        let last = said.values().min().cloned().unwrap_or_else(|| "no answer yet".into());
        Error::JoinTimeout { limit, last }
    }

    fn said(&self) -> MutexGuard<'_, HashMap<JoinAddr, String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
