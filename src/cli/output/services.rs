//! The tables of services and of routes.

use super::{
    count, paint,
    table::{Table, list},
};
use crate::{
    admin::answers::{Endpoint, Routes, Service, ServiceState, Services},
    cli::connection::Format,
    model::EndpointState,
};

pub(in crate::cli) fn text(services: &Services, format: Format, no_headers: bool) -> String {
    let mut table = Table::new(&["SERVICE", "READY", "DRAIN", "HELD", "HOSTS", "STATE"], no_headers);
    for s in &services.services {
        table.row([
            s.name.clone(),
            format!("{}/{}", s.ready, s.total),
            s.drain.to_string(),
            s.held.to_string(),
            list(&s.hosts),
            state(s).to_owned(),
        ]);
        if format == Format::Wide {
            s.endpoints.iter().for_each(|e| table.row(endpoint(e)));
        }
    }
    paint::lines(&table.text(), |line| match line.split_whitespace().last() {
        Some("degraded") => Some(paint::ODD),
        Some("down") => Some(paint::BAD),
        _ => None,
    })
}

fn state(s: &Service) -> &'static str {
    match s.state {
        ServiceState::Ok => "ok",
        ServiceState::Degraded => "degraded",
        ServiceState::Down => "down",
    }
}

/// An endpoint below its service, in the same columns.
fn endpoint(e: &Endpoint) -> [String; 6] {
    let state = match (e.live, e.desired) {
        (None, Some(_)) => "coming",
        (_, None) => "going",
        (Some(EndpointState::Ready), Some(EndpointState::Ready)) if e.down => "fails its check",
        (Some(EndpointState::Ready), Some(EndpointState::Ready)) => "ready",
        (Some(EndpointState::Ready), Some(EndpointState::Drain)) => "ready, should drain",
        (Some(EndpointState::Drain), Some(EndpointState::Drain)) => "drain",
        (Some(EndpointState::Drain), Some(EndpointState::Ready)) => "coming back",
    };
    let dash = || "-".to_owned();
    [format!("  {}", e.name), format!("w{}", e.weight), dash(), dash(), e.addr.to_string(), state.to_owned()]
}

/// `2 services, 3 of 4 endpoints ready`.
pub(in crate::cli) fn totals(services: &Services) -> String {
    let sum = |part: fn(&Service) -> usize| services.services.iter().map(part).sum::<usize>();
    let all = count(services.services.len(), "service");
    format!("{all}, {} of {} ready", sum(|s| s.ready), count(sum(|s| s.total), "endpoint"))
}

pub(in crate::cli) fn routes(routes: &Routes, no_headers: bool) -> String {
    let mut table = Table::new(&["HOST", "PATH", "SERVICE", "READY", "SAID BY"], no_headers);
    for r in &routes.routes {
        let refused = if r.refused.is_empty() { String::new() } else { format!(" ({} refused)", r.refused.join(", ")) };
        let said_by = list(&r.said_by) + &refused;
        table.row([r.host.clone(), r.path.clone(), r.service.clone(), r.ready.to_string(), said_by]);
    }
    table.text()
}

/// `3 routes`.
pub(in crate::cli) fn route_totals(routes: &Routes) -> String {
    count(routes.routes.len(), "route")
}
