//! The admin server's client: HTTP over the unix socket, each call with its deadline.
//!
//! It knows bytes and answers; what they mean is read elsewhere.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backchat_contract::DriverError;
use reqwest::{Client, RequestBuilder, StatusCode};

use crate::{
    push::{Place, Push},
    state::{self, Known, State},
};

/// How long one call may take. 10,000 servers take a twentieth of it.
const LIMIT: Duration = Duration::from_secs(2);

/// The client of one admin server.
#[derive(Debug)]
pub struct Admin {
    client: Client,
    socket: PathBuf,
    /// The table that was read last.
    known: Mutex<Option<Known>>,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is served, by every worker: no request from here on sees another.
    Served,
    /// What is there is not what it was made for: read again. The answer says what is there.
    Stale(String),
    /// It was refused, and what was there is served on: no room for it (507), for one. The answer says why.
    Refused(String),
}

impl Admin {
    /// A client of the server on this socket; nothing is connected yet.
    pub fn new(socket: &Path) -> Result<Self, DriverError> {
        let built = Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .http1_only()
            // A connection that is kept would keep a worker of before a reload alive, and reach it.
            .pool_max_idle_per_host(0)
            .timeout(LIMIT)
            .build();
        let client = built.map_err(|error| DriverError::Unsupported(format!("speak HTTP: {}", cause(&error))))?;
        Ok(Self { client, socket: socket.to_owned(), known: Mutex::default() })
    }

    /// Reads back what runs and what is served; `None` where the one who answers knows nothing of us.
    pub async fn read(&self) -> Result<Option<State>, DriverError> {
        const COMMAND: &str = "GET /table";
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = self.client.get("http://openresty/table");
        if let Some(known) = &known {
            request = request.header("backchat-known", known.name());
        }
        let (status, text) = self.send(COMMAND, request).await?;
        let refuse = |reply: String| DriverError::Refused { command: COMMAND.into(), reply };
        match status {
            StatusCode::OK => {
                let state = state::decode_by(&text, known.as_ref()).map_err(|error| refuse(error.to_string()))?;
                let read = state.table.clone().map(|table| Known { boot: state.boot.clone(), table });
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = read;
                Ok(Some(state))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refuse(format!("{status} {}", shown(&text)))),
        }
    }

    /// Replaces the table, or a part of it, where what is there still is `over`, which was read.
    pub async fn push(&self, what: &Push, over: &Place) -> Result<Pushed, DriverError> {
        let request = self.client.post("http://openresty/table").body(what.encode());
        let request = request.header("backchat-over", over.name());
        let (status, text) = self.send("POST /table", request).await?;
        Ok(match status {
            StatusCode::OK => Pushed::Served,
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Pushed::Stale(shown(&text)),
            _ => Pushed::Refused(format!("{status}: {}", shown(&text))),
        })
    }

    async fn send(&self, command: &str, request: RequestBuilder) -> Result<(StatusCode, String), DriverError> {
        let failed = |error: &reqwest::Error| self.failed(command, error);
        let answer = request.send().await.map_err(|e| failed(&e))?;
        let status = answer.status();
        Ok((status, answer.text().await.map_err(|e| failed(&e))?))
    }

    fn failed(&self, command: &str, error: &reqwest::Error) -> DriverError {
        let plane = format!("openresty at unix:{}", self.socket.display());
        if error.is_timeout() {
            return DriverError::Deadline { what: format!("get an answer to '{command}' from {plane}"), limit: LIMIT };
        }
        DriverError::Unreachable { plane, cause: cause(error) }
    }
}

/// The first line of an answer.
fn shown(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// What stands at the bottom of an error: the system's own word.
fn cause(error: &dyn Error) -> String {
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    bottom.to_string()
}
