//! What a server says of the keys as it happens: a stream of messages on a connection of its own.

use futures_util::FutureExt;

use super::{
    http::{Head, Http},
    lines::Lines,
    wire::{self, Event, Watched},
};
use crate::model::words::escaped;

/// The longest message, in bytes. They come in parts of what a request may hold, 1.5 MiB as etcd comes.
const MESSAGE_MAX: usize = 32 << 20;
/// From how many events on it is time to look at them.
const AT_ONCE: usize = 10_000;

/// A watch that was asked for.
pub(super) struct Watch {
    http: Http,
    head: Head,
    lines: Lines,
    /// Why nothing more will come.
    ended: Option<String>,
}

impl Watch {
    /// Reads what this answer says.
    pub(super) fn new(http: Http, head: Head) -> Self {
        Self { http, head, lines: Lines::default(), ended: None }
    }

    /// What happened next: all of it that came, for each look at it has its price. Cancel-safe: what came and was not
    /// taken stays.
    ///
    /// # Errors
    /// Where nothing more will come.
    pub(super) async fn next(&mut self) -> Result<Vec<Event>, String> {
        let mut happened = self.some().await?;
        while happened.len() < AT_ONCE
            && let Some(more) = self.some().now_or_never()
        {
            match more {
                Ok(more) => happened.extend(more),
                Err(why) => {
                    self.ended = Some(why);
                    break;
                }
            }
        }
        Ok(happened)
    }

    async fn some(&mut self) -> Result<Vec<Event>, String> {
        if let Some(why) = &self.ended {
            return Err(why.clone());
        }
        loop {
            while let Some(line) = self.lines.next() {
                let events = events(&line)?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            let bytes = self.http.chunk(&mut self.head).await?;
            self.lines.push(&bytes.ok_or("the connection is lost")?, MESSAGE_MAX)?;
        }
    }
}

fn events(line: &[u8]) -> Result<Vec<Event>, String> {
    let said: Watched = wire::streamed(line).map_err(|refusal| refusal.why)?;
    if said.compact_revision > 0 {
        return Err("what happened since the keys were read is compacted away".into());
    }
    if said.canceled {
        let why = if said.cancel_reason.is_empty() { "for no reason that it says" } else { &said.cancel_reason };
        return Err(format!("it ends the watch: {}", escaped(why, 300)));
    }
    Ok(said.events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let check = |line: &str, expected: &str| {
            let said = events(line.as_bytes()).map_or_else(
                |why| why,
                |events| {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let event = |e: &Event| format!("{} {:?}", text(&e.kv.key), e.value().map(text));
                    events.iter().map(event).collect::<Vec<_>>().join("; ")
                },
            );
            assert_eq!(said, expected, "{line}");
        };
        check(r#"{"result":{"header":{"revision":"2"},"watch_id":"1","created":true}}"#, "");
        check(
            r#"{"result":{"events":[{"kv":{"key":"YTE=","mod_revision":"2","value":"eA=="}},{"type":"DELETE","kv":{"key":"YTI="}},{"type":"PUT","kv":{"key":"YTM="}}]}}"#,
            r#"a1 Some("x"); a2 None; a3 Some("")"#,
        );
        check(
            r#"{"result":{"canceled":true,"compact_revision":"4"}}"#,
            "what happened since the keys were read is compacted away",
        );
        check(
            r#"{"result":{"canceled":true,"created":true,"cancel_reason":"permission denied"}}"#,
            "it ends the watch: permission denied",
        );
        check(r#"{"result":{"canceled":true,"cancel_reason":"a\n\u001b[31m"}}"#, r"it ends the watch: a\n\u{1b}[31m");
        check(r#"{"error":{"grpc_code":14,"http_code":503,"message":"no leader"}}"#, "no leader");
        check("{}", "it says neither what happened nor what is wrong");
        check(
            r#"{"result":{"events":[{"kv":{"key":"?"}}]}}"#,
            "it does not answer as etcd's gateway does: Invalid symbol 63, offset 0. at line 1 column 38",
        );
    }
}
