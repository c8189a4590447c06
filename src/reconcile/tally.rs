//! Counting what the loop does, where it does it. Pure: the time is an argument. What is counted is `model::tally`.

use std::collections::BTreeMap;

use backchat_contract::{ChangeKind, Desired, DriverError, EndpointId, EndpointState, Idle, Report, diff};

use crate::model::{Moment, SourceName, Tally};

/// Takes note of what an apply came to; one that only goes on with another counts as that.
pub(super) fn applied(tally: &mut Tally, result: &Result<Report, DriverError>, goes_on: bool) {
    match result {
        Ok(report) if report.stale => {}
        Ok(report) => {
            tally.applies += u64::from(!goes_on);
            tally.commands += wide(report.applied);
            tally.refusals += wide(report.refused.len());
        }
        Err(DriverError::Reload { .. }) => tally.failed_reloads += 1,
        Err(_) => {}
    }
}

/// Takes note of what is read back after an apply: a change that takes several of them counts once.
pub(super) fn read_back(tally: &mut Tally, before: &Desired, live: &Desired) {
    for change in diff(before, live).iter().filter(|c| c.kind != ChangeKind::Service) {
        *tally.changes.entry(change.action).or_default() += 1;
    }
}

/// A source is in trouble that was not, or that was in another.
pub(super) fn source_failed(tally: &mut Tally, source: &SourceName) {
    *tally.source_errors.entry(SourceName::clone(source)).or_default() += 1;
}

/// A source changed at `since`, and a step that ended now went by it; `applies` were there before. Whether the change
/// is still to have its effect.
pub(super) fn had_effect(
    tally: &mut Tally,
    since: Option<Moment>,
    applies: u64,
    failed: bool,
    now: Moment,
) -> Option<Moment> {
    let since = since?;
    if failed {
        return Some(since);
    }
    if tally.applies > applies {
        tally.change_to_effect.observe(now.saturating_sub(since));
    }
    None
}

/// The endpoints that drain.
#[derive(Debug, Default)]
pub(super) struct Draining {
    /// Since the last look that did not find them so; `None` once they were found idle.
    since: BTreeMap<EndpointId, Option<Moment>>,
    /// When was looked last.
    looked: Option<Moment>,
}

impl Draining {
    /// Takes a look: who begins, who is done, who is gone or back.
    pub(super) fn look(&mut self, live: &Desired, idle: impl Fn(&EndpointId) -> Idle, now: Moment, tally: &mut Tally) {
        let drains = |id: &EndpointId| live.endpoint(id).is_some_and(|e| e.state == EndpointState::Drain);
        self.since.retain(|id, since| {
            let goes_on = drains(id);
            if !goes_on && since.is_some() {
                let ended = &mut tally.drains;
                *(if live.endpoint(id).is_some() { &mut ended.undone } else { &mut ended.gone }) += 1;
            }
            goes_on
        });
        let before = self.looked.replace(now).unwrap_or(now);
        for (id, _) in live.endpoints().filter(|(_, e)| e.state == EndpointState::Drain) {
            let since = self.since.entry(id.clone()).or_insert(Some(before));
            if let Some(began) = since.filter(|_| idle(&id) == Idle::Yes) {
                tally.drains.idle += 1;
                tally.drain_times.observe(now.saturating_sub(began));
                *since = None;
            }
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backchat_contract::{Action, Endpoint, Refusal, Service, Weight};

    use super::*;

    fn live(endpoints: &[(&str, EndpointState)]) -> Desired {
        let one = |(name, state): &(&str, EndpointState)| {
            let addr = std::net::SocketAddr::from(([10, 0, 0, 1], 80)).try_into().unwrap();
            (name.parse().unwrap(), Endpoint { addr, weight: Weight::DEFAULT, state: *state })
        };
        let service = Service { endpoints: endpoints.iter().map(one).collect(), ..Service::default() };
        Desired { services: [("web".parse().unwrap(), service)].into(), ..Desired::default() }
    }

    #[test]
    fn a_drain_ends_idle_gone_or_undone_and_is_counted_once() {
        use EndpointState::{Drain, Ready};
        let (mut draining, mut tally) = (Draining::default(), Tally::default());
        let mut look = |set: &[(&str, EndpointState)], idle: &[&str], at: u64| {
            let is_idle =
                |id: &EndpointId| if idle.contains(&id.endpoint.as_str()) { Idle::Yes } else { Idle::Unknown };
            draining.look(&live(set), is_idle, Duration::from_secs(at), &mut tally);
            (tally.drains.idle, tally.drains.gone, tally.drains.undone)
        };
        assert_eq!(look(&[("a", Ready), ("b", Ready), ("c", Ready)], &["a"], 1), (0, 0, 0));
        assert_eq!(look(&[("a", Drain), ("b", Drain), ("c", Drain)], &[], 2), (0, 0, 0));
        assert_eq!(look(&[("a", Drain), ("b", Drain), ("c", Drain)], &["a"], 5), (1, 0, 0));
        assert_eq!(look(&[("a", Drain), ("b", Ready)], &["a"], 6), (1, 1, 1));
        assert_eq!(look(&[("b", Ready)], &[], 7), (1, 1, 1), "a was done before it was gone");
        assert_eq!(look(&[("b", Drain)], &["b"], 8), (2, 1, 1));
        assert_eq!((tally.drain_times.count(), tally.drain_times.sum()), (2, Duration::from_secs(4 + 1)));
    }

    #[test]
    fn an_apply_counts_what_was_answered_and_a_change_what_was_read_back() {
        use EndpointState::{Drain, Ready};
        let mut tally = Tally::default();
        let refusal = Refusal { command: "c".into(), reply: "r".into() };
        let whole = Report { applied: 3, ..Report::default() };
        let part = Report { applied: 2, refused: vec![refusal], ..Report::default() };
        let stale = Report { applied: 9, stale: true, ..Report::default() };
        for result in [Ok(whole), Ok(part), Ok(stale), Err(DriverError::Reload { message: "no".into() })] {
            applied(&mut tally, &result, false);
        }
        assert_eq!((tally.applies, tally.commands, tally.refusals, tally.failed_reloads), (2, 5, 1, 1));
        let steps = [live(&[("a", Ready), ("b", Ready)]), live(&[("a", Drain), ("c", Ready)]), live(&[("c", Ready)])];
        read_back(&mut tally, &Desired::default(), &steps[0]);
        read_back(&mut tally, &steps[0], &steps[1]);
        read_back(&mut tally, &steps[1], &steps[2]);
        assert_eq!(tally.changes, [(Action::Add, 3), (Action::Drain, 1), (Action::Remove, 2)].into());
    }

    #[test]
    fn a_change_has_its_effect_with_the_step_that_applies_it() {
        let second = Duration::from_secs(1);
        let mut tally = Tally { applies: 3, ..Tally::default() };
        assert_eq!(had_effect(&mut tally, None, 2, false, 9 * second), None);
        assert_eq!(had_effect(&mut tally, Some(second), 3, false, 9 * second), None, "nothing followed from it");
        assert_eq!(had_effect(&mut tally, Some(second), 2, true, 9 * second), Some(second));
        assert_eq!(tally.change_to_effect.count(), 0);
        assert_eq!(had_effect(&mut tally, Some(second), 2, false, 9 * second), None);
        assert_eq!(tally.change_to_effect.sum(), 8 * second);
    }
}
