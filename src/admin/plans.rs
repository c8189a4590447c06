//! `/v1/plan` and `/v1/apply`: what would be done, and the plan that somebody was shown, made and done elsewhere.

use std::time::{Duration, SystemTime};

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    Command, Sources,
    answers::{Applied, ApplyRequest, Plan, PlanRequest},
    routes::{error, no_plane, ok},
};
use crate::model::{Assumption, NoProposal, Unapplied};

/// The largest plan and the largest template that are read: 50,000 changes, and more than any template's 1 MiB.
pub(super) const BODY: usize = 16 << 20;
/// How long applying may take: a check and a reload have 10 s each.
const APPLY: Duration = Duration::from_secs(28);
/// How much may be assumed at a time.
const ASSUMED: usize = 64;

/// What is assumed for a plan: `assume=drain=web1,gone=web2`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanQuery {
    #[serde(default)]
    assume: String,
}

pub(super) async fn plan(State(sources): State<Sources>, query: Result<Query<PlanQuery>, QueryRejection>) -> Response {
    let assumed = query
        .map_err(|e| e.body_text())
        .and_then(|Query(query)| assumptions(query.assume.split(',').filter(|word| !word.is_empty())));
    match assumed {
        Ok(assume) => planned(&sources, assume).await,
        Err(why) => error(StatusCode::BAD_REQUEST, why),
    }
}

/// With a template too, which is too long for a query.
pub(super) async fn plan_by(
    State(sources): State<Sources>,
    body: Result<Json<PlanRequest>, JsonRejection>,
) -> Response {
    let PlanRequest { assume, template } = match body {
        Ok(Json(request)) => request,
        Err(rejection) => return error(rejection.status(), rejection.body_text()),
    };
    match assumptions(assume.iter().map(String::as_str)) {
        Ok(mut assume) => {
            assume.extend(template.map(|template| Assumption::Template { name: template.name, text: template.text }));
            planned(&sources, assume).await
        }
        Err(why) => error(StatusCode::BAD_REQUEST, why),
    }
}

fn assumptions<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<Assumption>, String> {
    // One more than there may be says enough.
    let assumed = words.take(ASSUMED + 1).map(str::parse).collect::<Result<Vec<Assumption>, String>>()?;
    if assumed.len() > ASSUMED { Err(format!("more is assumed than {ASSUMED} things")) } else { Ok(assumed) }
}

async fn planned(sources: &Sources, assume: Vec<Assumption>) -> Response {
    if sources.status.is_none() {
        return no_plane(sources);
    }
    match sources.ask(|answer| Command::Plan { assume, answer }).await {
        Ok(Ok(proposal)) => ok(Plan::new(sources.me.node.as_str(), &proposal, SystemTime::now())),
        Ok(Err(NoProposal::Refused(why))) => error(StatusCode::CONFLICT, why),
        Ok(Err(NoProposal::Unreachable(why))) => error(StatusCode::SERVICE_UNAVAILABLE, why),
        Ok(Err(NoProposal::Template(why))) => error(StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(response) => response,
    }
}

pub(super) async fn apply(State(sources): State<Sources>, body: Result<Json<ApplyRequest>, JsonRejection>) -> Response {
    let ApplyRequest { node, shown } = match body {
        Ok(Json(request)) => request,
        Err(rejection) => return error(rejection.status(), rejection.body_text()),
    };
    if sources.status.is_none() {
        return no_plane(&sources);
    }
    if node != sources.me.node.as_str() {
        let text = format!("the plan is for {node:.64}, and this is {}; nothing was done", sources.me.node);
        return error(StatusCode::MISDIRECTED_REQUEST, text);
    }
    match sources.ask_within(APPLY, |answer| Command::Apply { shown: Box::new(shown), answer }).await {
        Ok(Ok(applied)) => ok(Applied::new(sources.me.node.as_str(), &applied)),
        Ok(Err(why)) => unapplied(why),
        Err(response) => response,
    }
}

fn unapplied(why: Unapplied) -> Response {
    let (code, text) = match why {
        Unapplied::Foreign(why) => (StatusCode::MISDIRECTED_REQUEST, why + "; it was not applied"),
        Unapplied::Moved(moved) => {
            let moved = moved.join("; ");
            (StatusCode::PRECONDITION_FAILED, format!("the plan has changed, it was not applied: {moved}"))
        }
        Unapplied::Template(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        Unapplied::Unreachable(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        Unapplied::Failed(why) => (StatusCode::BAD_GATEWAY, why),
    };
    error(code, text)
}
