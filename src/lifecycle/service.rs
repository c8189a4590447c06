//! The life of the service that an agent runs: started, started again after a pause where that is wanted, stopped.
//!
//! It publishes how the service is, and must not know what is told of it to others.

use std::{io, time::Duration};

use rustix::process::Signal;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::{
    Ending,
    backoff::Backoff,
    child::{Child, Program},
};

/// Beyond its time: what the kernel may take to end what was killed.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// What to do when the service ends without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// End as it did.
    #[default]
    No,
    /// Start it again, unless it ended with status 0.
    OnFailure,
    /// Start it again.
    Always,
}

/// How the service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It runs, for the nth time, from 0.
    Running(u32),
    /// It ended, and is to run again or not; in words.
    Down(String),
}

/// What may be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Hand this signal on.
    Signal(Signal),
    /// Stop it: ask, wait, kill.
    Stop,
    /// Kill it with all its descendants, now.
    Kill,
}

/// What runs, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What runs.
    pub program: Program,
    /// What to do when it ends.
    pub restart: Restart,
    /// How long it may take to stop.
    pub stop_timeout: Duration,
}

/// Runs the service until it is stopped, or ends and is not to be started again; nothing of it is left then. Nobody
/// to take orders from any more is an order to stop.
///
/// # Errors
/// Where this program cannot start itself.
pub async fn run(
    service: Service,
    mut orders: mpsc::Receiver<Order>,
    phase: watch::Sender<Phase>,
) -> io::Result<Ending> {
    let mut backoff = Backoff::default();
    let mut run: u32 = 0;
    loop {
        let begun = Instant::now();
        let mut child = Child::start(&service.program)?;
        phase.send_replace(Phase::Running(run));
        let (ending, stopped) = serve(&mut child, &service, &mut orders).await;
        let again = (!stopped && service.restart.follows(ending)).then(|| backoff.after(begun.elapsed()));
        let why = again.map_or_else(|| ending.to_string(), |pause| format!("{ending}, started again in {pause:?}"));
        phase.send_replace(Phase::Down(why));
        log(ending, stopped, again);
        let left = child.gone(service.program.grace + LAST_BREATH).await;
        if left > 0 && !stopped {
            tracing::warn!(left, "its own children are ended with it: a service has to run in the foreground");
        }
        let Some(pause) = again else { return Ok(ending) };
        if stopped_within(pause, &mut orders).await {
            return Ok(ending);
        }
        run = run.wrapping_add(1);
    }
}

impl Restart {
    /// Whether a service that ended so is started again.
    fn follows(self, ending: Ending) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure => !ending.is_success(),
            Self::Always => true,
        }
    }
}

fn log(ending: Ending, stopped: bool, again: Option<Duration>) {
    match again {
        _ if stopped => tracing::info!("the service {ending}"),
        Some(pause) => tracing::warn!("the service {ending}; it is started again in {pause:?}"),
        None if ending.is_success() => tracing::info!("the service {ending} without being asked"),
        None => tracing::error!("the service {ending} without being asked"),
    }
}

/// How it ended, and whether it was asked to.
async fn serve(child: &mut Child, service: &Service, orders: &mut mpsc::Receiver<Order>) -> (Ending, bool) {
    loop {
        // Cancel-safe: a channel and a line keep what was not taken.
        tokio::select! {
            ending = child.ended() => return (ending, false),
            order = orders.recv() => match order {
                Some(Order::Signal(signal)) => child.signal(signal),
                Some(Order::Stop) | None => return (stop(child, service, orders).await, true),
                Some(Order::Kill) => return (kill(child).await, true),
            },
        }
    }
}

/// Asks it to end, and insists where it takes longer than it may.
async fn stop(child: &mut Child, service: &Service, orders: &mut mpsc::Receiver<Order>) -> Ending {
    child.signal(service.program.stop_signal.signal());
    let hurried = async { while !matches!(orders.recv().await, Some(Order::Kill) | None) {} };
    tokio::select! {
        ended = timeout(service.stop_timeout, child.ended()) => if let Ok(ending) = ended { return ending },
        () = hurried => {}
    }
    tracing::warn!("the service did not end by {} in time: it is killed", service.program.stop_signal);
    kill(child).await
}

async fn kill(child: &mut Child) -> Ending {
    child.signal(Signal::KILL);
    timeout(LAST_BREATH, child.ended()).await.unwrap_or(Ending::Killed(9))
}

/// Whether an order to stop comes before the pause is over.
async fn stopped_within(pause: Duration, orders: &mut mpsc::Receiver<Order>) -> bool {
    let stop = async { while matches!(orders.recv().await, Some(Order::Signal(_))) {} };
    timeout(pause, stop).await.is_ok()
}
