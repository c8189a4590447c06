//! Listening to `/v1/events`: server-sent events, as our server writes them, one line of JSON each.

use std::{io, time::Duration};

use futures_util::TryStreamExt as _;
use reqwest::Method;
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

use super::{Client, ClientError, DEADLINE, silent};
use crate::admin::{Addr, HEARTBEAT, answers::Event};

/// The longest line that is taken: an event names what a hold keeps, which may be much.
const LINE: usize = 1024 * 1024;
/// One listens for as long as there is something to hear.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);
/// Without a heartbeat for so long nobody is there any more.
const SILENCE: Duration = HEARTBEAT.saturating_mul(3);

/// An event, as it came and as it was understood.
pub(in crate::cli) type Heard = super::Answer<Event>;

/// What the daemon tells, from when on it listened.
pub(in crate::cli) struct Events {
    addr: Addr,
    lines: FramedRead<Box<dyn tokio::io::AsyncRead + Send + Unpin>, LinesCodec>,
}

impl Client {
    /// Listens: to what came after this event, else to what comes from now on.
    pub(in crate::cli) async fn events(&self, last: Option<u64>) -> Result<Events, ClientError> {
        let request = self.request(Method::GET, "/v1/events").timeout(ENDLESS);
        let request = match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let sent = tokio::time::timeout(DEADLINE, request.send()).await.map_err(|_| silent(&self.addr))?;
        let response = sent.map_err(|e| self.unsent(&e))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let bytes: Box<dyn tokio::io::AsyncRead + Send + Unpin> =
            Box::new(StreamReader::new(Box::pin(response.bytes_stream().map_err(io::Error::other))));
        Ok(Events { addr: self.addr.clone(), lines: FramedRead::new(bytes, LinesCodec::new_with_max_length(LINE)) })
    }

    /// What one line says; `None` for all that is no event's own: ids, names, heartbeats.
    pub(in crate::cli) fn heard(&self, line: &str) -> Result<Option<Heard>, ClientError> {
        let Some(text) = line.strip_prefix("data:").map(str::trim_start) else { return Ok(None) };
        let value = self.understand(text)?;
        Ok(Some(Heard { text: format!("{text}\n"), value }))
    }
}

impl Events {
    /// The next line; `None` where the daemon has ended, or does not answer any more. Cancel-safe.
    ///
    /// A line that is too long is an error: whoever asks anew from the event before is sent the same again.
    pub(in crate::cli) async fn line(&mut self) -> Result<Option<String>, ClientError> {
        match tokio::time::timeout(SILENCE, self.lines.try_next()).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                let text = format!("it sent a line of more than {LINE} bytes, which no event of backchat's is");
                Err(ClientError::Broken { addr: self.addr.clone(), text })
            }
            Ok(Err(LinesCodecError::Io(_))) | Err(_) => Ok(None),
        }
    }
}
