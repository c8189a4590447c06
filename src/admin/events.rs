//! `/v1/events`: what happens, as it happens, to whoever listens; by ids, so that one who was away hears what was missed.
//!
//! What happens is told by `model::events` from what the daemon publishes; here it is numbered, kept for a while, and
//! handed out.

mod feed;
mod follow;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use futures_util::{StreamExt, stream};

pub(super) use self::{feed::Feed, follow::follow};
use super::{
    answers::{self, Tagged},
    line::Line,
    routes::error,
};
use crate::model::What;

/// How often a listener that hears nothing hears that it is still listening.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a listener heard last, as browsers and their like say it.
const LAST: &str = "last-event-id";

pub(super) async fn events(
    Extension(feed): Extension<Arc<Feed>>,
    Extension(line): Extension<Line>,
    headers: HeaderMap,
) -> Response {
    let last = match headers.get(LAST).map(|id| id.to_str().ok().and_then(|id| id.parse().ok())) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => return error(StatusCode::BAD_REQUEST, "Last-Event-ID: use the id of an event"),
    };
    let Some(listener) = Feed::listen(&feed, last, &line) else {
        let text = format!("{} listen already, which is the most; end one", feed::LISTENERS);
        return error(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    line.streams();
    let heard = stream::unfold(listener, |mut listener| async { Some((listener.next().await?, listener)) });
    let sent = heard.flat_map(|events| stream::iter(events).map(|event| Ok::<_, Infallible>(sent(&event))));
    let beat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Sse::new(sent).keep_alive(beat).into_response()
}

/// A gap has a name of its own, for it is no event of the cluster.
fn sent(event: &answers::Event) -> sse::Event {
    let sent = sse::Event::default().id(event.id.to_string());
    let sent = if event.event.what == What::Gap { sent.event("gap") } else { sent };
    // Words and numbers under names: there is nothing in it that JSON has not.
    sent.data(serde_json::to_string(&Tagged::from(event.clone())).unwrap_or_default())
}
