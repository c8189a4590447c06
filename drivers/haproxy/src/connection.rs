//! The one session with the worker that serves now. After a reload an open session goes on answering from the
//! old worker, and keeps it alive: each use asks first who answers, and connects anew where it is the old one.

use std::{path::PathBuf, time::Duration};

use backchat_contract::DriverError;

use crate::{
    protocol::{Query, info},
    socket::{EXCHANGE, Session},
};

/// How long the worker of before may take to say that it is there. Asked each second: a HAProxy that is stopped takes
/// the question and never answers, and that is to be known soon.
const PULSE: Duration = Duration::from_secs(1);

/// A socket, and the session with it while there is one.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: PathBuf,
    session: Option<Session>,
    /// Which session it is, from 1: another process is only reached by another one.
    serial: u64,
}

impl Connection {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, session: None, serial: 0 }
    }

    /// The session with the worker that serves now, and what it says of itself.
    pub(crate) async fn current(&mut self) -> Result<(&mut Session, String), DriverError> {
        self.numbered().await.map(|(session, said, _)| (session, said))
    }

    /// The same, and which session it is.
    pub(crate) async fn numbered(&mut self) -> Result<(&mut Session, String, u64), DriverError> {
        let (session, said) = if let Some(kept) = self.kept().await? {
            kept
        } else {
            self.serial += 1;
            self.fresh().await?
        };
        Ok((self.session.insert(session), said, self.serial))
    }

    /// The session of before, if it still answers and from the right worker. Silence is told; whatever else is wrong
    /// with it, a fresh one tells better.
    async fn kept(&mut self) -> Result<Option<(Session, String)>, DriverError> {
        let Some(mut session) = self.session.take() else { return Ok(None) };
        match session.ask_within(PULSE, &Query::Info).await {
            Ok(said) => Ok(info(&said).is_some_and(|info| !info.stopping).then_some((session, said))),
            Err(silence @ DriverError::Deadline { .. }) => Err(silence),
            Err(_) => Ok(None),
        }
    }

    async fn fresh(&self) -> Result<(Session, String), DriverError> {
        let mut session = Session::open(&self.socket, EXCHANGE).await?;
        let said = session.ask(&Query::Info).await?;
        if info(&said).is_some_and(|info| info.stopping) {
            let plane = format!("haproxy at unix:{}", self.socket.display());
            return Err(DriverError::Unreachable { plane, cause: "only a worker on its way out answers".into() });
        }
        Ok((session, said))
    }

    pub(crate) fn close(&mut self) {
        self.session = None;
    }

    /// Ends when HAProxy closes the session; never where there is none. Cancel-safe.
    pub(crate) async fn closed(&self) {
        match &self.session {
            Some(session) => session.closed().await,
            None => std::future::pending().await,
        }
    }
}
