//! Marks that a backend is dead, as Hipache writes them: for others that read the same keys.

use redis::aio::MultiplexedConnection;

use super::{
    connect::{Connector, said},
    keys::Keys,
};
use crate::source::frontends::Backend;

/// How long a mark stays: Hipache's own time, `deadBackendTTL`.
const SECONDS: u32 = 30;

/// Writes marks to where the store is written.
pub(super) struct Marker {
    connector: Connector,
    connection: Option<MultiplexedConnection>,
    /// What was said of the last failure: nothing is said twice.
    said: Option<String>,
}

impl Marker {
    /// One that has written nothing yet.
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, connection: None, said: None }
    }

    /// Marks these; whether that worked. What did not is tried again at the next look.
    pub(super) async fn mark(&mut self, keys: &Keys, backends: &[Backend]) -> bool {
        match self.write(keys, backends).await {
            Ok(()) => {
                for backend in backends {
                    tracing::info!(host = backend.host, backend = backend.url, seconds = SECONDS, "marked as dead");
                }
                self.said = None;
                true
            }
            Err(why) => {
                self.connection = None;
                if self.said.as_ref() != Some(&why) {
                    tracing::warn!("cannot mark a dead backend at {}: {why}", self.connector.server());
                    self.said = Some(why);
                }
                false
            }
        }
    }

    async fn write(&mut self, keys: &Keys, backends: &[Backend]) -> Result<(), String> {
        if self.connection.is_none() {
            self.connection = Some(self.connector.connection().await?);
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for Backend { host, id, url, len } in backends {
            pipeline.cmd("SADD").arg(keys.dead(host)).arg(*id).ignore();
            pipeline.cmd("EXPIRE").arg(keys.dead(host)).arg(SECONDS).ignore();
            pipeline.cmd("PUBLISH").arg("dead").arg(format!("{host};{url};{id};{len}")).ignore();
        }
        pipeline.exec_async(connection).await.map_err(|e| said(&e))
    }
}
