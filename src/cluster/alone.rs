//! A node that takes part in no cluster: no socket, no task, nobody known. Whatever is asked of it is answered as by a
//! node that has ended.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{sync::watch, time::Instant};

use super::{
    Handle, Settings,
    counters::Counters,
    identity::Identity,
    mailbox::Mailbox,
    start::{first_view, speaker},
    view::View,
};
use crate::model::Snapshot;

impl Handle {
    /// A handle with nobody behind it.
    pub fn alone(settings: &Settings) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let identity = Identity::new(settings.node.clone(), 0, nowhere);
        let first = first_view(settings, &identity);
        // There is nothing to wait for.
        let view = View { snapshot: Snapshot { synced: true, ..first.snapshot }, ..first };
        Self {
            views: watch::channel(Arc::new(view)).1,
            speaker: watch::channel(speaker(settings, &identity)).1,
            mailbox: Mailbox::new().0,
            counters: Arc::new(Counters::default()),
            started: Instant::now(),
            drains: Arc::new(Mutex::new(None)),
            orders: None,
            inbound_orders: Arc::new(Mutex::new(None)),
        }
    }
}
