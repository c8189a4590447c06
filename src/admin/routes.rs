//! The routes of the admin API: each reads the newest state, or hands a command on and waits for its answer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    Command, Sources,
    answers::{self, Format, JoinRequest, ReleaseRequest, Tagged},
    events::{self, Feed},
    explain, metrics, orders, plans,
};
use crate::model::{self, words::quoted};

/// The largest body that is read.
const BODY: usize = 64 * 1024;
/// How long a command may take: a join tries several addresses, each with a deadline of its own.
const COMMAND: Duration = Duration::from_secs(20);
/// Join addresses in one request, at most.
const JOIN_ADDRS: usize = 64;

pub(super) fn router(sources: Sources, feed: Arc<Feed>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/members", get(members))
        .route("/v1/services", get(services))
        .route("/v1/routes", get(routes))
        .route("/v1/plan", get(plans::plan).post(plans::plan_by).layer(DefaultBodyLimit::max(plans::BODY)))
        .route("/v1/join", post(join))
        .route("/v1/leave", post(leave))
        .route("/v1/release", post(release))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/events", get(events::events))
        .route("/v1/drain", post(orders::drain))
        .route("/v1/undrain", post(orders::undrain))
        .route("/v1/apply", post(plans::apply).layer(DefaultBodyLimit::max(plans::BODY)))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(Extension(feed))
        .with_state(sources)
}

/// An answer: one line of JSON, so that it looks well on a terminal too.
fn answer<T: Format>(status: StatusCode, answer: T) -> Response {
    match serde_json::to_string(&Tagged::from(answer)) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// An answer that says what was asked for.
pub(super) fn ok<T: Format>(body: T) -> Response {
    answer(StatusCode::OK, body)
}

/// An answer that says what went wrong.
pub(super) fn error(status: StatusCode, text: impl Into<String>) -> Response {
    answer(status, answers::Error { error: text.into() })
}

async fn status(State(sources): State<Sources>) -> Response {
    let (members, uptime) = (sources.members(), sources.start.elapsed());
    let heard = (sources.counts)().heard.map(|heard| uptime.saturating_sub(heard));
    let agent =
        answers::Status::agent(sources.me.node.as_str(), &members, uptime, heard).with_checks(&sources.health.borrow());
    ok(match sources.status() {
        None => agent,
        Some(status) => agent.with_plane(&status, SystemTime::now()),
    })
}

async fn members(State(sources): State<Sources>) -> Response {
    ok(answers::Members::new(&sources.members(), sources.start.elapsed()))
}

async fn services(State(sources): State<Sources>) -> Response {
    sources.status().map_or_else(|| no_plane(&sources), |status| ok(answers::Services::new(&status)))
}

async fn routes(State(sources): State<Sources>) -> Response {
    let members = sources.members();
    sources.status().map_or_else(|| no_plane(&sources), |status| ok(answers::Routes::new(&status, &members)))
}

/// An agent is asked what only a balancer knows: say whom to ask.
pub(super) fn no_plane(sources: &Sources) -> Response {
    let members = sources.members();
    let balancers: Vec<_> = members.members.values().filter(|m| m.is_balancer()).map(|m| m.name.as_str()).collect();
    let whom = if balancers.is_empty() { "none is known".to_owned() } else { balancers.join(", ") };
    let text = format!("{} is an agent and drives no data plane; ask a balancer: {whom}", sources.me.node);
    error(StatusCode::NOT_FOUND, text)
}

async fn join(State(sources): State<Sources>, body: Result<Json<JoinRequest>, JsonRejection>) -> Response {
    let Json(JoinRequest { addrs }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), rejection.body_text()),
    };
    if !(1..=JOIN_ADDRS).contains(&addrs.len()) {
        return error(StatusCode::BAD_REQUEST, format!("give 1 to {JOIN_ADDRS} addresses"));
    }
    let results = match sources.ask(|answer| Command::Join { addrs, answer }).await {
        Ok(results) => results,
        Err(response) => return response,
    };
    let mut said = answers::Join { joined: Vec::new(), failed: Vec::new() };
    for super::Joined { addr, result } in results {
        match result {
            Ok(members) => said.joined.push(answers::Joined { addr, members }),
            Err(why) => said.failed.push(answers::NotJoined { addr, why }),
        }
    }
    ok(said)
}

async fn leave(State(sources): State<Sources>) -> Response {
    match sources.ask(|answer| Command::Leave { answer }).await {
        Ok(()) => ok(answers::Leave { node: sources.me.node.to_string() }),
        Err(response) => response,
    }
}

async fn release(State(sources): State<Sources>, body: Result<Json<ReleaseRequest>, JsonRejection>) -> Response {
    let Json(ReleaseRequest { hold }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), rejection.body_text()),
    };
    if sources.status.is_none() {
        return no_plane(&sources);
    }
    match sources.ask(|answer| Command::Release { hold: hold.clone(), answer }).await {
        Ok(true) => ok(answers::Release { hold }),
        Ok(false) => error(StatusCode::NOT_FOUND, format!("nothing is held as {}", quoted(&hold, 64))),
        Err(response) => response,
    }
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let (members, status) = (sources.members(), sources.status());
    let text = metrics::encode(&members, status.as_deref(), &(sources.counts)(), &sources.health.borrow());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn healthz() -> Response {
    ok(answers::Health { ok: true, why: None })
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let why = sources.unready();
    let code = if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(code, answers::Health { ok: why.is_none(), why })
}

impl Sources {
    pub(super) fn members(&self) -> Arc<model::Snapshot> {
        self.members.borrow().clone()
    }

    pub(super) fn status(&self) -> Option<Arc<model::Status>> {
        self.status.as_ref().map(|status| status.borrow().clone())
    }

    /// Why traffic should not be sent here; `None` where it may be.
    fn unready(&self) -> Option<String> {
        if self.stopping.is_cancelled() {
            return Some("about to end".into());
        }
        if !self.members().synced {
            return Some("not synced: no full exchange with a member yet".into());
        }
        let status = self.status()?;
        if !status.plane_up {
            let why = status.error.clone().unwrap_or_else(|| "it was not read yet".into());
            return Some(format!("the data plane is not up: {why}"));
        }
        (!status.synced).then(|| "not synced: a source has not listed everything yet".into())
    }

    /// Hands a command on and waits for the answer.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Response> {
        self.ask_within(COMMAND, command).await
    }

    /// The same, and so long.
    pub(super) async fn ask_within<T>(
        &self,
        limit: Duration,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Response> {
        let (sender, receiver) = oneshot::channel();
        let asked = async {
            self.commands.send(command(sender)).await.ok()?;
            receiver.await.ok()
        };
        match timeout(limit, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(error(StatusCode::SERVICE_UNAVAILABLE, "the daemon is about to end")),
            Err(_) => Err(error(StatusCode::GATEWAY_TIMEOUT, format!("no answer within {} s", limit.as_secs()))),
        }
    }
}
