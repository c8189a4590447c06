//! A service: its routes, and its endpoints one a line.

use super::{Fact, flaps, hold, line, pool, refused, route};
use crate::{
    admin::answers::{ExplainedService, ServiceState, Standing},
    cli::output::age,
    model::Protocol,
};

pub(super) fn facts(told: &ExplainedService) -> Vec<Fact> {
    let mut facts = vec![line("service", summary(told))];
    if !told.routes.is_empty() {
        facts.push(("route", told.routes.iter().map(route).collect()));
    }
    if !told.endpoints.is_empty() {
        facts.push(("pool", pool::rows(&told.endpoints, false)));
    }
    facts.extend(told.holds.iter().map(hold));
    facts.extend(told.flapping.iter().map(flaps));
    facts.extend(told.rejections.iter().map(refused));
    facts
}

/// `web: http, 2 of 3 ready, degraded`.
fn summary(told: &ExplainedService) -> String {
    let ready = told.endpoints.iter().filter(|e| e.state == Standing::Ready).count();
    let all = told.endpoints.iter().filter(|e| e.state != Standing::Gone).count();
    let state = match told.state {
        ServiceState::Ok => "ok".into(),
        ServiceState::Degraded => "degraded".into(),
        ServiceState::Down => format!("down: it answers {}", told.down_status.unwrap_or(503)),
    };
    let protocol = match told.protocol {
        Protocol::Http => "http",
        Protocol::Tcp => "tcp",
    };
    let empty = told.empty_ms.map(|ms| format!(", without endpoints for {}", age::since(ms))).unwrap_or_default();
    format!("{}: {protocol}, {ready} of {all} ready, {state}{empty}", told.name)
}
