//! The one session with the worker that serves now. After a reload an open session goes on answering from the
//! old worker, and keeps it alive: each use asks first who answers, and connects anew where it is the old one.

use std::path::PathBuf;

use backchat_contract::DriverError;

use crate::{
    protocol::{Query, info},
    socket::{EXCHANGE, Session},
};

/// A socket, and the session with it while there is one.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: PathBuf,
    session: Option<Session>,
}

impl Connection {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, session: None }
    }

    /// The session with the worker that serves now, and what it says of itself.
    pub(crate) async fn current(&mut self) -> Result<(&mut Session, String), DriverError> {
        let (session, said) = match self.kept().await {
            Some(kept) => kept,
            None => self.fresh().await?,
        };
        Ok((self.session.insert(session), said))
    }

    /// The session of before, if it still answers and from the right worker. Whatever is wrong with it, a fresh
    /// one tells better.
    async fn kept(&mut self) -> Option<(Session, String)> {
        let mut session = self.session.take()?;
        let said = session.ask(&Query::Info).await.ok()?;
        info(&said).is_some_and(|info| !info.stopping).then_some((session, said))
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
