//! SIGTERM and SIGINT: the first asks for a graceful end, the second hurries it. SIGHUP ends nothing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two signals that end a daemon, and the one that would by default.
pub struct Stop {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Stop {
    /// Takes the signals over from their default, which is to die.
    pub fn new() -> io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, hup: signal(SignalKind::hangup())? })
    }

    /// Ends when one of them comes, with its name. Cancel-safe.
    pub async fn recv(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.hup.recv() => tracing::warn!("SIGHUP: nothing is read anew yet; restart instead"),
            }
        }
    }

    /// Cancels the token at the next signal: the graceful end is to be cut short.
    pub async fn hurry(mut self, token: CancellationToken) {
        let name = self.recv().await;
        tracing::warn!(signal = name, "second signal: ending at once");
        token.cancel();
    }
}
