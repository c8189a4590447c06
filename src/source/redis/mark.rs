//! Marks that a backend is dead, as Hipache writes them: for others that read the same keys. They are written beside what
//! is read, and hold it up nowhere: the primary may be another server, and away.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    connect::{Connector, said},
    keys::Keys,
};
use crate::source::{
    followed::{MARKED_SECONDS, Said},
    frontends::Backend,
};

/// How long it is waited after a failure, the first time and at most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a mark stays.
const MARKED: Duration = Duration::from_secs(MARKED_SECONDS as u64);

/// Writes marks to where the store is written.
pub(super) struct Marker {
    connector: Connector,
    keys: Keys,
    connection: Option<MultiplexedConnection>,
    said: Said,
}

impl Marker {
    /// One that has written nothing yet.
    pub(super) fn new(connector: Connector, keys: Keys) -> Self {
        Self { connector, keys, connection: None, said: Said::default() }
    }

    /// Marks what is wanted now, one write after the other, and tells the hosts whose marks are to be read back. Ends when
    /// nobody wants any more.
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<Vec<Backend>>, marked: mpsc::Sender<Vec<String>>) {
        let mut pause = PAUSE;
        loop {
            let backends = wanted.borrow_and_update().clone();
            if backends.is_empty() {
                if wanted.changed().await.is_err() {
                    return;
                }
            } else if self.mark(&backends).await {
                pause = PAUSE;
                if marked.send(backends.into_iter().map(|backend| backend.host).collect()).await.is_err() {
                    return;
                }
                // Read back, they are wanted no more; what is not seen there is written again when its time is over.
                if matches!(timeout(MARKED, wanted.changed()).await, Ok(Err(_))) {
                    return;
                }
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// Marks these; whether that worked.
    async fn mark(&mut self, backends: &[Backend]) -> bool {
        let outcome = self.write(backends).await;
        if outcome.is_err() {
            self.connection = None;
        }
        let server = self.connector.server();
        self.said.outcome(outcome.map_err(|why| format!("{server}: {why}")), backends)
    }

    async fn write(&mut self, backends: &[Backend]) -> Result<(), String> {
        if self.connection.is_none() {
            self.connection = Some(self.connector.connection().await?);
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for Backend { host, id, url, len } in backends {
            pipeline.cmd("SADD").arg(self.keys.dead(host)).arg(*id).ignore();
            pipeline.cmd("EXPIRE").arg(self.keys.dead(host)).arg(MARKED_SECONDS).ignore();
            pipeline.cmd("PUBLISH").arg("dead").arg(format!("{host};{url};{id};{len}")).ignore();
        }
        pipeline.exec_async(connection).await.map_err(|e| said(&e))
    }
}
