//! The loop that brings the data plane to the desired set. What it publishes of itself is `model::status`.
//!
//! Level-triggered: a wake-up carries no meaning, each step reads the newest state and observes before it acts; but for
//! news of a source, where the data plane takes a change only over what was read last. It must not know where snapshots come from, nor which driver it has.

pub mod inbox;
pub mod keeper;
mod questions;
mod rehearsal;
pub mod schedule;
mod step;
mod tally;

use std::{sync::Arc, time::SystemTime};

use backchat_contract::{Driver, DriverError};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    inbox::{Inbox, Query, Question},
    rehearsal::Rehearsal,
    schedule::Pace,
    step::Settings,
};
use self::{
    questions::Questions,
    schedule::{Outcome, Schedule},
    step::{Stepped, Stepper},
};
use crate::model::{Shelf, Status};

/// Runs the loop until the token is cancelled, and hands the driver back so that the caller can end or keep
/// the data plane. `start` is the origin of every `Moment` in the snapshots.
pub async fn run<D: Driver>(
    driver: D,
    settings: Settings,
    mut inbox: Inbox,
    status: watch::Sender<Arc<Status>>,
    (start, stop): (Instant, CancellationToken),
) -> D {
    let settings = if driver.endpoints_reload() { settings.of_reloads() } else { settings };
    let mut certificates = settings.certificates.clone();
    let mut schedule = Schedule::new(settings.pace);
    let mut questions = Questions::default();
    let mut stepper = Stepper::new(driver, settings, std::mem::take(&mut inbox.kept), start);
    // Attention stays due until a step has looked: asked again before that, it would keep the step from coming.
    let mut looked = true;
    // Since when a source has said something that no step has followed.
    let mut unfollowed = None;
    loop {
        // Every arm is cancel-safe: watches and channels keep what was not taken, the driver's attention says so
        // of itself, and a sleep has no state.
        tokio::select! {
            biased;
            () = stop.cancelled() => return stepper.into_driver(),
            // Before all that comes in: who asks without end does not keep the data plane from being followed up.
            () = until(start + schedule.due()) => {
                let began = start.elapsed();
                looked = true;
                // Cut off in the middle a step leaves what a crash would: the next daemon observes anew.
                let known = inbox.snapshots.newest();
                let (since, applies) = (unfollowed.take(), stepper.status.tally.applies);
                let stepping = stop.run_until_cancelled(stepper.step(&known, &mut questions, since.is_some()));
                let Some(result) = stepping.await else { return stepper.into_driver() };
                let tally = &mut stepper.status.tally;
                unfollowed = tally::had_effect(tally, since, applies, result.is_err(), start.elapsed());
                let outcome = publish(&status, &mut stepper, result);
                schedule.stepped(began, start.elapsed(), questions.hurry(outcome));
                schedule.look_takes(stepper.look_took());
            }
            () = inbox.snapshots.changed() => {
                unfollowed.get_or_insert(start.elapsed());
                schedule.changed(start.elapsed());
            }
            () = renewed(&mut certificates) => schedule.changed(start.elapsed()),
            Some(question) = recv(&mut inbox.questions) => { questions.ask(question); schedule.changed(start.elapsed()); }
            Some(query) = recv(&mut inbox.queries) => {
                let (began, known) = (start.elapsed(), inbox.snapshots.newest());
                let answering = stop.run_until_cancelled(stepper.answer(query, &known, &mut questions));
                let Some(answered) = answering.await else { return stepper.into_driver() };
                match answered {
                    None => schedule.changed(start.elapsed()),
                    Some(Stepped { result, tell }) => {
                        looked = true;
                        let outcome = publish(&status, &mut stepper, result);
                        schedule.stepped(began, start.elapsed(), questions.hurry(outcome));
                        // Who is told that it was done and asks for the status shall find it there.
                        tell();
                    }
                }
            }
            () = stepper.attention(), if looked => { looked = false; schedule.changed(start.elapsed()); }
        }
    }
}

/// Whether the data plane did not answer, as opposed to saying no.
fn is_silence(error: &DriverError) -> bool {
    matches!(error, DriverError::Unreachable { .. } | DriverError::Start { .. } | DriverError::Deadline { .. })
}

/// Ends at once where the time has come: a new timer would wait for the runtime to look at its clock.
async fn until(moment: Instant) {
    if Instant::now() < moment {
        tokio::time::sleep_until(moment).await;
    }
}

/// Ends when there are other certificates to listen with. Cancel-safe. One who will never know is silent for ever.
async fn renewed(certificates: &mut Option<watch::Receiver<Arc<Shelf>>>) {
    let Some(shelf) = certificates else { return std::future::pending().await };
    if shelf.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    shelf.mark_unchanged();
}

/// A closed channel is silent for ever, it does not spin.
async fn recv<T>(channel: &mut mpsc::Receiver<T>) -> Option<T> {
    match channel.recv().await {
        Some(message) => Some(message),
        None => std::future::pending().await,
    }
}

fn publish<D: Driver>(
    status: &watch::Sender<Arc<Status>>,
    stepper: &mut Stepper<D>,
    result: Result<Outcome, DriverError>,
) -> Outcome {
    let outcome = match result {
        Ok(outcome) => {
            if stepper.status.error.take().is_some() {
                tracing::info!("data plane is back");
            }
            stepper.status.steps += 1;
            outcome
        }
        Err(error) => {
            // Said once, not at every try.
            let text = format!("failed to {error}");
            if stepper.status.error.as_deref() != Some(&text) {
                tracing::warn!(error = %text, "step failed; trying again");
            }
            stepper.status.failures += 1;
            stepper.status.converged = false;
            stepper.status.plane_up &= !is_silence(&error);
            stepper.status.error = Some(text);
            stepper.status.bad_configuration = matches!(error, DriverError::Check { .. });
            Outcome::Failed
        }
    };
    let now = Some(SystemTime::now());
    stepper.status.stepped_at = now;
    stepper.status.observed_at = if outcome == Outcome::Failed { stepper.status.observed_at } else { now };
    status.send_replace(Arc::new(stepper.status.clone()));
    outcome
}

#[cfg(test)]
mod tests;
