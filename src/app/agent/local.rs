//! What is beside the agent: the service that it runs, and the checks of those it offers.

use std::{
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    sync::Arc,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    app::{Daemon, Error},
    lifecycle::{
        Ending, Order, Phase,
        check::{self, Outcome},
        service,
        signals::{HandOn, Stop},
    },
    model::{Health, RawOffer},
    settings::Agent,
};

/// Orders that wait at the service. A signal beyond them is lost, as signals are; a word to stop never is.
const ORDERS: usize = 16;

/// The service and the checks, as they are at work.
pub(super) struct Local {
    offers: Vec<RawOffer>,
    checked: Vec<bool>,
    task: Option<JoinHandle<io::Result<Ending>>>,
    orders: Option<mpsc::Sender<Order>>,
    signals: Option<HandOn>,
    phase: watch::Receiver<Phase>,
    outcomes: watch::Receiver<Vec<Option<Outcome>>>,
    health: watch::Sender<Vec<Health>>,
    /// Where nothing is run, the phase stays as it is for as long as this is kept.
    endless: Option<watch::Sender<Phase>>,
}

/// What came from it.
pub(super) enum Event {
    /// Something may get requests that might not before, or the other way round.
    Health(Vec<Health>),
    /// The service has ended, and is not started again; nothing of it is left.
    Ended(Result<Ending, Error>),
}

impl Local {
    /// How everything is before anything was started.
    pub(super) fn before(settings: &Agent) -> Vec<Health> {
        let checked: Vec<_> = settings.checks.iter().map(Option::is_some).collect();
        health(&settings.services, &checked, &at_first(settings), &[])
    }

    /// Starts the service and the checks.
    pub(super) fn start(settings: &Agent, daemon: &Daemon) -> Result<Self, Error> {
        let (phases, phase) = watch::channel(at_first(settings));
        let (found, outcomes) = watch::channel(vec![None; settings.services.len()]);
        let found = Arc::new(found);
        for (index, check) in settings.checks.iter().enumerate() {
            let Some(check) = check.clone() else { continue };
            let (stop, phase, found) = (daemon.stop.clone(), phase.clone(), Arc::clone(&found));
            let views = daemon.handle.watch();
            let own = Box::new(move || reachable(views.borrow().addr.ip()));
            daemon.tasks.spawn(async move {
                let report = |outcome| {
                    found.send_if_modified(|all| note(all, index, outcome));
                };
                stop.run_until_cancelled(Box::pin(check::watch(check, own, phase, report))).await
            });
        }
        let mut local = Self {
            offers: settings.services.clone(),
            checked: settings.checks.iter().map(Option::is_some).collect(),
            task: None,
            orders: None,
            signals: None,
            phase,
            outcomes,
            health: watch::channel(Self::before(settings)).0,
            endless: None,
        };
        if let Some(service) = settings.child.clone() {
            let (orders, taken) = mpsc::channel(ORDERS);
            local.signals = Some(HandOn::new().map_err(Error::Signals)?);
            local.orders = Some(orders);
            local.task = Some(daemon.tasks.spawn(service::run(service, taken, phases)));
        } else {
            local.endless = Some(phases);
        }
        Ok(local)
    }

    /// What may get requests, and why not, for those who show it.
    pub(super) fn watch(&self) -> watch::Receiver<Vec<Health>> {
        self.health.subscribe()
    }

    /// The next thing that happens. Cancel-safe. Meanwhile signals are handed on to the service.
    pub(super) async fn event(&mut self) -> Event {
        loop {
            // Biased: that the service is down has to be said before its end is taken.
            tokio::select! {
                biased;
                Ok(()) = self.phase.changed() => return self.looked(),
                Ok(()) = self.outcomes.changed() => return self.looked(),
                ended = ended(&mut self.task) => return Event::Ended(ended),
                signal = signal(&mut self.signals) => self.hand_on(signal),
            }
        }
    }

    /// Whether there is no service to wait for any more.
    pub(super) fn is_down(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Down(_))
    }

    /// Stops the service; the next signal kills it. How it ended, where there is one.
    pub(super) async fn stop(&mut self, signals: &mut Stop) -> Option<Result<Ending, Error>> {
        self.task.as_ref()?;
        // The order that is still to be given: signals may stand before it while the last run's descendants end.
        let mut order = Some(Order::Stop);
        loop {
            // Cancel-safe, all: who waits for room loses but its place in the queue.
            tokio::select! {
                ended = ended(&mut self.task) => return Some(ended),
                room = room(self.orders.as_ref()), if order.is_some() => {
                    // No room will ever be: it has ended.
                    if let (Some(room), Some(order)) = (room, order.take()) {
                        room.send(order);
                    }
                }
                signal = signals.recv() => {
                    tracing::warn!(signal, "the service is killed");
                    order = Some(Order::Kill);
                }
            }
        }
    }

    fn looked(&mut self) -> Event {
        let now =
            health(&self.offers, &self.checked, &self.phase.borrow_and_update(), &self.outcomes.borrow_and_update());
        self.health.send_replace(now.clone());
        Event::Health(now)
    }

    fn hand_on(&self, signal: rustix::process::Signal) {
        if self.orders.as_ref().is_some_and(|orders| orders.try_send(Order::Signal(signal)).is_err()) {
            tracing::debug!(?signal, "the service takes no more signals");
        }
    }
}

/// The end of the service's task, taken once.
async fn ended(task: &mut Option<JoinHandle<io::Result<Ending>>>) -> Result<Ending, Error> {
    let Some(running) = task else { return pending().await };
    let ended = running.await;
    *task = None;
    ended.map_err(|_| Error::Task("the service's task"))?.map_err(Error::Service)
}

/// Room for one more order; none where nobody takes any.
async fn room(orders: Option<&mpsc::Sender<Order>>) -> Option<mpsc::Permit<'_, Order>> {
    orders?.reserve().await.ok()
}

async fn signal(signals: &mut Option<HandOn>) -> rustix::process::Signal {
    match signals {
        Some(signals) => signals.recv().await,
        None => pending().await,
    }
}

fn at_first(settings: &Agent) -> Phase {
    if settings.child.is_some() { Phase::Down("is being started".into()) } else { Phase::Running(0) }
}

/// Takes in what a check found; whether that is news.
fn note(all: &mut [Option<Outcome>], index: usize, outcome: Outcome) -> bool {
    match all.get_mut(index) {
        Some(known) if known.as_ref() != Some(&outcome) => {
            *known = Some(outcome);
            true
        }
        _ => false,
    }
}

/// Which services may get requests, and why others may not.
fn health(offers: &[RawOffer], checked: &[bool], phase: &Phase, outcomes: &[Option<Outcome>]) -> Vec<Health> {
    let one = |(index, offer): (usize, &RawOffer)| {
        let outcome = outcomes.get(index).and_then(Option::as_ref);
        let (up, why) = match (phase, outcome) {
            (Phase::Down(why), _) => (false, Some(why.clone())),
            (Phase::Running(_), _) if !checked.get(index).is_some_and(|checked| *checked) => (true, None),
            (Phase::Running(run), Some(outcome)) if outcome.run == *run => (outcome.up, outcome.why.clone()),
            (Phase::Running(_), _) => (false, Some("was not checked yet".to_owned())),
        };
        Health { service: offer.name.clone(), port: offer.port, up, why }
    };
    offers.iter().enumerate().map(one).collect()
}

/// Where a check finds this node's services: at the address that balancers use, unless that is not this host's but
/// leads to it (from behind NAT).
fn reachable(advertised: IpAddr) -> IpAddr {
    match (UdpSocket::bind((advertised, 0)), advertised) {
        (Ok(_), own) => own,
        (Err(_), IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
        (Err(_), IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A service that takes no orders for a while, as where the last run's descendants are waited for.
    fn busy(pause: Duration) -> Local {
        let (orders, mut taken) = mpsc::channel(ORDERS);
        let task = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            while let Some(Order::Signal(_)) = taken.recv().await {}
            Ok(Ending::Exited(7))
        });
        let (endless, phase) = watch::channel(Phase::Down("is started again".into()));
        Local {
            offers: Vec::new(),
            checked: Vec::new(),
            task: Some(task),
            orders: Some(orders),
            signals: None,
            phase,
            outcomes: watch::channel(Vec::new()).1,
            health: watch::channel(Vec::new()).0,
            endless: Some(endless),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_not_lost_behind_signals() {
        let (mut local, mut signals) = (busy(Duration::from_secs(3)), Stop::new().unwrap());
        for _ in 0..2 * ORDERS {
            local.hand_on(rustix::process::Signal::HUP);
        }
        let stopped = tokio::time::timeout(Duration::from_secs(60), local.stop(&mut signals)).await;
        let stopped = stopped.expect("the service heard of it").expect("there is one");
        assert_eq!(stopped.unwrap(), Ending::Exited(7));
    }
}
