//! SIGTERM and SIGINT: the first asks for a graceful end, the second hurries it. SIGHUP ends nothing. Others are
//! handed on to the service, where the daemon runs one.

use std::{future::poll_fn, io, task::Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two signals that end a daemon, and the one that would by default.
pub struct Stop {
    term: Signal,
    int: Signal,
    /// `None` where it is handed on.
    hup: Option<Signal>,
}

/// The signals that mean something to many services, and nothing to an agent.
pub struct HandOn([(rustix::process::Signal, Signal); 4]);

impl Stop {
    /// Takes the signals over from their default, which is to die.
    pub fn new() -> io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, hup: Some(signal(SignalKind::hangup())?) })
    }

    /// The same beside a service, which is handed SIGHUP.
    pub fn without_hangup() -> io::Result<Self> {
        Ok(Self { hup: None, ..Self::new()? })
    }

    /// Ends when one of them comes, with its name. Cancel-safe.
    pub async fn recv(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                () = came(&mut self.hup) => tracing::warn!("SIGHUP: nothing is read anew yet; restart instead"),
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

impl HandOn {
    /// Takes the signals over from their default, which is to die.
    pub fn new() -> io::Result<Self> {
        use rustix::process::Signal as Name;
        let take = |name: Name| Ok::<_, io::Error>((name, signal(SignalKind::from_raw(name.as_raw()))?));
        Ok(Self([take(Name::HUP)?, take(Name::QUIT)?, take(Name::USR1)?, take(Name::USR2)?]))
    }

    /// Ends when one of them comes. Cancel-safe.
    pub async fn recv(&mut self) -> rustix::process::Signal {
        poll_fn(|cx| {
            let mut came =
                self.0.iter_mut().filter_map(|(name, signal)| signal.poll_recv(cx).is_ready().then_some(*name));
            came.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

async fn came(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
