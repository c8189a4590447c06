//! The load: at every balancer clients that keep their connection, fresh ones, slow requests and ones that must not be
//! sent twice. No client repeats a request. Each answer is counted by who gave it, each failure kept with its times.
//!
//! Some 100 requests a second at each balancer, whatever the machine: this is about losing none, not about speed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{Error, Method, Request};
use backchat::demo;
use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{blame::Failed, namespaces::address, op::Host, schedule::BALANCERS};

/// A request that takes longer has failed: beyond what an HAProxy needs that stands for 2 s, or tries again.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client rests between two requests.
const REST: Duration = Duration::from_millis(65);
/// Failures kept between two readings, at most; beyond that they are only counted.
const KEPT: usize = 10_000;

/// What came of the requests since the last reading.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Good answers by balancer and server.
    pub(crate) answers: BTreeMap<(u8, String), u64>,
    /// Those that failed.
    pub(crate) failed: Vec<Failed>,
    /// How many more failed than are kept.
    pub(crate) more: usize,
}

impl Tally {
    /// Adds another reading's answers.
    pub(crate) fn add(&mut self, other: &Self) {
        for (by, count) in &other.answers {
            *self.answers.entry(by.clone()).or_default() += count;
        }
    }

    /// How many ended, well or not.
    pub(crate) fn sent(&self) -> u64 {
        self.answers.values().sum::<u64>() + (self.failed.len() + self.more) as u64
    }
}

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
struct Style {
    fresh: bool,
    post: bool,
    path: &'static str,
}

const GET: Style = Style { fresh: false, post: false, path: "/" };
const POST: Style = Style { post: true, ..GET };
const FRESH: Style = Style { fresh: true, ..GET };
const SLOW: Style = Style { path: "/slow?ms=150", ..GET };
/// A request of these is under way most of the time, and nobody may send it again: it tells on a server that ends early.
const SLOW_POST: Style = Style { post: true, ..SLOW };
const CLIENTS: [Style; 9] = [GET, GET, FRESH, FRESH, POST, SLOW, SLOW_POST, SLOW_POST, SLOW_POST];

/// The clients. Dropped, they stop.
#[derive(Debug)]
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: CancellationToken,
    clients: TaskTracker,
}

impl Load {
    /// Sets them going; times count from `clock`.
    pub(crate) fn start(clock: Instant) -> Result<Self, Error> {
        let load = Self { tally: Arc::default(), stop: CancellationToken::new(), clients: TaskTracker::new() };
        for balancer in 1..=BALANCERS {
            for style in CLIENTS {
                let client = Client::new(balancer, style, clock)?;
                load.clients.spawn(client.run(Arc::clone(&load.tally), load.stop.clone()));
            }
        }
        load.clients.close();
        Ok(load)
    }

    /// Sends so many more requests to each balancer, one right after another.
    pub(crate) async fn hurry(&self, requests: usize, clock: Instant) -> Result<(), Error> {
        for balancer in 1..=BALANCERS {
            let client = Client::new(balancer, GET, clock)?;
            for _ in 0..requests {
                client.once(&self.tally).await;
            }
        }
        Ok(())
    }

    /// What came since the last reading.
    pub(crate) fn take(&self) -> Tally {
        std::mem::take(&mut *lock(&self.tally))
    }

    /// Waits for the answers still out.
    pub(crate) async fn stop(self) -> Tally {
        self.stop.cancel();
        self.clients.wait().await;
        self.take()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client.
pub(crate) struct Client {
    http: demo::Client,
    request: Request<Bytes>,
    balancer: u8,
    style: Style,
    clock: Instant,
}

impl Client {
    fn new(balancer: u8, style: Style, clock: Instant) -> Result<Self, Error> {
        let (method, body) = if style.post { (Method::POST, "x") } else { (Method::GET, "") };
        let uri = format!("http://{}{}", address(Host::Balancer(balancer)), style.path);
        let request = Request::builder().method(method).uri(uri).body(Bytes::from(body))?;
        Ok(Self { http: demo::Client::new(!style.fresh, TIMEOUT), request, balancer, style, clock })
    }

    /// Whether a fresh client gets a good answer at this balancer.
    pub(crate) async fn answers(balancer: u8) -> bool {
        let Ok(client) = Self::new(balancer, FRESH, Instant::now()) else { return false };
        client.ask().await.is_ok()
    }

    async fn run(self, tally: Arc<Mutex<Tally>>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.once(&tally).await;
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(REST) => {}
            }
        }
    }

    async fn once(&self, tally: &Mutex<Tally>) {
        let began = self.clock.elapsed();
        let outcome = self.ask().await;
        self.record(began, outcome, &mut lock(tally));
    }

    fn record(&self, began: Duration, outcome: Result<String, String>, tally: &mut Tally) {
        match outcome {
            Ok(server) => *tally.answers.entry((self.balancer, server)).or_default() += 1,
            Err(_) if tally.failed.len() >= KEPT => tally.more += 1,
            Err(how) => tally.failed.push(Failed {
                balancer: self.balancer,
                fresh: self.style.fresh,
                replayable: !self.style.post,
                began,
                ended: self.clock.elapsed(),
                how,
            }),
        }
    }

    /// One request: who answered, or how it failed.
    async fn ask(&self) -> Result<String, String> {
        let answer = self.http.ask(self.request.clone()).await.map_err(|e| e.to_string())?;
        let (status, text) = (answer.status, answer.text.map_err(|e| e.to_string())?);
        if status.is_success() { Ok(text.trim().to_owned()) } else { Err(format!("status {status}")) }
    }
}
