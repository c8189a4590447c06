//! Marks that a backend is dead, as Hipache writes them: for others that read the same keys.

use redis::aio::MultiplexedConnection;

use super::{
    connect::{Connector, said},
    keys::Keys,
};
use crate::source::{
    followed::{MARKED_SECONDS, Said},
    frontends::Backend,
};

/// Writes marks to where the store is written.
pub(super) struct Marker {
    connector: Connector,
    connection: Option<MultiplexedConnection>,
    said: Said,
}

impl Marker {
    /// One that has written nothing yet.
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, connection: None, said: Said::default() }
    }

    /// Marks these; whether that worked. What did not is tried again at the next look.
    pub(super) async fn mark(&mut self, keys: &Keys, backends: &[Backend]) -> bool {
        let outcome = self.write(keys, backends).await;
        if outcome.is_err() {
            self.connection = None;
        }
        let server = self.connector.server();
        self.said.outcome(outcome.map_err(|why| format!("{server}: {why}")), backends)
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
            pipeline.cmd("EXPIRE").arg(keys.dead(host)).arg(MARKED_SECONDS).ignore();
            pipeline.cmd("PUBLISH").arg("dead").arg(format!("{host};{url};{id};{len}")).ignore();
        }
        pipeline.exec_async(connection).await.map_err(|e| said(&e))
    }
}
