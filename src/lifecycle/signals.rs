//! SIGTERM and SIGINT: the first asks for a graceful end, the second hurries it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two signals that end a daemon.
pub struct Stop {
    term: Signal,
    int: Signal,
}

impl Stop {
    /// Takes the signals over from their default, which is to die.
    pub fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Ends when one of them comes, with its name. Cancel-safe.
    pub async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }

    /// Cancels the token at the next signal: the graceful end is to be cut short.
    pub async fn hurry(mut self, token: CancellationToken) {
        let name = self.recv().await;
        tracing::warn!(signal = name, "second signal: ending at once");
        token.cancel();
    }
}
