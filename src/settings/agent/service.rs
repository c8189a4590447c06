//! The service that an agent runs, and the checks of what it offers.

use std::time::Duration;

use super::span;
use crate::{
    config::{AgentOwn, Offer, Text},
    lifecycle::{Check, Pace, SignalName, Target, check::Place, child::Program, service::Service},
    settings::Error,
};

/// What the service's descendants have to end in once it is gone, and it itself where its agent is: shorter than what
/// the balancers take to notice.
const GRACE: Duration = Duration::from_secs(1);

pub(super) fn child(own: &AgentOwn, stop_timeout: Duration) -> Result<Option<Service>, Error> {
    let Some(command) = own.command.clone().filter(|command| !command.is_empty()) else {
        return match (own.restart, own.stop_signal) {
            (None, None) => Ok(None),
            _ => Err(Error::Flags("--restart and --stop-signal go with a service to run: -- COMMAND".into())),
        };
    };
    let program = Program {
        command: command.into_iter().map(Into::into).collect(),
        stop_signal: own.stop_signal.map_or(SignalName::TERM, |Text(name)| name),
        grace: GRACE.min(stop_timeout),
    };
    Ok(Some(Service { program, restart: own.restart.unwrap_or_default(), stop_timeout }))
}

/// What each service has to pass. Where the agent runs it and no check is given, a connect to its port, once a run:
/// what does not listen yet must get no request.
pub(super) fn checks(offers: &[Offer], own: &AgentOwn, has_child: bool) -> Result<Vec<Option<Check>>, Error> {
    let pace = pace(own)?;
    let check = |offer: &Offer| {
        let target = match &offer.check {
            Some(Text(target)) => target.clone(),
            None if has_child => Target::Tcp(Place::default()),
            None => return None,
        };
        // A pattern is no name to ask for.
        let host = offer.hosts.iter().map(ToString::to_string).find(|host| !host.contains('*'));
        let (service, port) = (offer.name.to_string(), offer.port);
        Some(Check { service, target, port, host, pace, first_only: offer.check.is_none() })
    };
    Ok(offers.iter().map(check).collect())
}

fn pace(own: &AgentOwn) -> Result<Pace, Error> {
    let default = Pace::default();
    let pace = Pace {
        interval: span(own.check_interval, default.interval),
        timeout: span(own.check_timeout, default.timeout),
        rise: own.check_rise.unwrap_or(default.rise),
        fall: own.check_fall.unwrap_or(default.fall),
    };
    let shortest = Duration::from_millis(10);
    if pace.interval < shortest || pace.timeout < shortest {
        return Err(Error::Flags("--check-interval and --check-timeout: use 10ms or more".into()));
    }
    if pace.rise == 0 || pace.fall == 0 {
        return Err(Error::Flags("--check-rise and --check-fall: use 1 or more".into()));
    }
    Ok(pace)
}
