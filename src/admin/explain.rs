//! `/v1/explain`: why something is served or not, by what the daemon knows now. Nobody is asked for it, so that it is
//! answered while the data plane is not.

use std::time::SystemTime;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    Sources,
    answers::{Explain, Known, Unexplained},
    routes::{error, no_plane, ok},
};

/// What is asked about: `about=web1`, `about=service/web`, `about=http://new.example.com/cart`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    about: String,
}

pub(super) async fn explain(State(sources): State<Sources>, query: Result<Query<About>, QueryRejection>) -> Response {
    let Query(About { about }) = match query {
        Ok(query) => query,
        Err(rejection) => return error(StatusCode::BAD_REQUEST, rejection.body_text()),
    };
    let (members, status, checks) = (sources.members(), sources.status(), sources.health.borrow().clone());
    let known = Known {
        status: status.as_deref(),
        members: &members,
        checks: &checks,
        now: sources.start.elapsed(),
        wall: SystemTime::now(),
    };
    match Explain::new(&about, &sources.me.node, known) {
        Ok(told) => ok(told),
        Err(Unexplained::Unknown(why)) => error(StatusCode::NOT_FOUND, why),
        Err(Unexplained::Wrong(why)) => error(StatusCode::BAD_REQUEST, why),
        Err(Unexplained::Unread(why)) => error(StatusCode::SERVICE_UNAVAILABLE, why),
        Err(Unexplained::NoPlane) => no_plane(&sources),
    }
}
