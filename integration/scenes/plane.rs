//! The data plane of a balancer in a scene: what is asked of it beyond what the demo asks.
//!
//! All in which one load balancer differs from another is here, below `plane/`, and in the demo's own judge: a scene
//! reads the same for each. Nothing of it is shared with the drivers.

mod asked;
mod files;
mod hurt;
mod points;

use std::{net::SocketAddr, ops::Deref};

use backchat::demo::{
    self, Driver,
    plane::{Processes, haproxy, nginx, openresty},
};

pub(super) use points::{endpoint_points, structure_points};

/// Where it does not matter which load balancer it is: the scene is about members, or about agents.
pub(super) const ANY: Driver = Driver::Haproxy;

/// The data plane of one balancer.
pub(super) struct Plane(pub(super) demo::Plane);

impl Deref for Plane {
    type Target = demo::Plane;

    fn deref(&self) -> &demo::Plane {
        &self.0
    }
}

impl Plane {
    /// The processes that serve, `None` where none does.
    pub(super) async fn running(&self) -> Option<Processes> {
        self.processes().await.ok()
    }

    /// Whether a change of endpoints alone takes a reload.
    pub(super) fn endpoints_reload(&self) -> bool {
        self.driver().reloads()
    }

    /// Whether it has this server at all, new requests or not.
    pub(super) async fn knows(&self, server: SocketAddr) -> bool {
        match self.driver() {
            Driver::Haproxy => {
                let servers = haproxy::servers(&self.path(haproxy::SOCKET)).await.unwrap_or_default();
                servers.iter().any(|known| known.addr == server)
            }
            // While it reloads, what was may still be.
            Driver::Nginx => {
                self.has_written(server) || !nginx::is_settled(self.run_dir()).await.is_ok_and(|settled| settled)
            }
            Driver::Openresty => openresty::table(self.run_dir()).await.is_ok_and(|said| said.knows(server)),
        }
    }

    /// What is live, without what counts time: the same as long as nobody changes anything.
    pub(super) async fn state(&self) -> Vec<String> {
        match self.driver() {
            Driver::Haproxy => self.haproxy_state().await,
            Driver::Nginx => {
                let running = nginx::running(self.run_dir()).await.map(|running| format!("{running:?}"));
                vec![running.unwrap_or_default(), self.text()]
            }
            Driver::Openresty => {
                let said = openresty::table(self.run_dir()).await;
                said.map(|said| [said.state, said.table].concat()).unwrap_or_default()
            }
        }
    }

    /// The lines of the servers, sorted: HAProxy lists them as they came, in the file or after it.
    async fn haproxy_state(&self) -> Vec<String> {
        let state = haproxy::ask(&self.path(haproxy::SOCKET), "show servers state").await.unwrap_or_default();
        let stable = |line: &str| {
            let mut fields: Vec<_> = line.split(' ').collect();
            // srv_time_since_last_change, and the check's own running state.
            for counts in [9, 11, 12, 13, 10] {
                if let Some(field) = fields.get_mut(counts) {
                    *field = "";
                }
            }
            fields.join(" ")
        };
        let mut lines: Vec<_> = state.lines().filter(|line| !line.is_empty()).map(stable).collect();
        lines.sort();
        lines
    }
}
