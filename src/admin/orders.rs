//! `/v1/drain` and `/v1/undrain`: orders, judged and carried out elsewhere.

use std::time::Duration;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};

use super::{
    Command, Ordering, Sources,
    answers::{Drain, OrderRequest, Undrain},
    routes::{error, ok},
};
use crate::model::{Obstacle, Order, Target};

/// How long one request may wait for the balancers; who waits longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

type Body = Result<Json<OrderRequest>, JsonRejection>;

pub(super) async fn drain(State(sources): State<Sources>, body: Body) -> Response {
    match order(&sources, Order::Drain, body).await {
        Ok((target, followed)) => ok(Drain::new(&target, followed)),
        Err(response) => response,
    }
}

pub(super) async fn undrain(State(sources): State<Sources>, body: Body) -> Response {
    match order(&sources, Order::Undrain, body).await {
        Ok((target, followed)) => ok(Undrain::new(&target, followed)),
        Err(response) => response,
    }
}

async fn order(sources: &Sources, order: Order, body: Body) -> Result<(Target, super::Followed), Response> {
    let Json(request) = body.map_err(|rejection| error(rejection.status(), rejection.body_text()))?;
    let target: Target = request.target.parse().map_err(|why: String| error(StatusCode::BAD_REQUEST, why))?;
    let wait = Duration::from_millis(request.wait_ms);
    if wait > LONGEST_WAIT {
        let text = format!("wait_ms: at most {} in one request", LONGEST_WAIT.as_millis());
        return Err(error(StatusCode::BAD_REQUEST, text));
    }
    let (given, force) = (!request.only_wait, request.force);
    let ordering = Ordering { target: target.clone(), order, given, force, wait };
    match sources.ask(|answer| Command::Order { ordering, answer }).await? {
        Ok(followed) => Ok((target, followed)),
        Err(obstacle) => Err(error(code(&obstacle), obstacle.to_string())),
    }
}

fn code(obstacle: &Obstacle) -> StatusCode {
    match obstacle {
        Obstacle::Unknown(_) => StatusCode::NOT_FOUND,
        Obstacle::Conflict(_) => StatusCode::CONFLICT,
        Obstacle::Unreached(_) => StatusCode::BAD_GATEWAY,
    }
}
