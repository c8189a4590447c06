//! Clients that never stop asking, and count what they get: the judge of every scene.
//!
//! One client holds one connection, as a browser or a proxy in front would, or opens one for each request, and asks
//! again when it has its answer. A request that failed is counted and never repeated, not by the HTTP client either,
//! except where a load says so. It must not know which failures are whose fault.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{self, Request, header::HOST};
use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::client::{self, Unanswered};

/// What to ask, and how hard.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the balancer listens.
    pub target: SocketAddr,
    /// The Host header; the target itself where `None`.
    pub host: Option<String>,
    /// The path and query, beginning with `/`.
    pub path: String,
    /// How many clients, each with one connection.
    pub clients: usize,
    /// Whether a client keeps its connection; else it makes one for each request.
    pub keep_alive: bool,
    /// How long a client rests between an answer and the next request; none where zero.
    pub rest: Duration,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// Whether a request whose kept connection turned out to be closed is sent again on a new one, once: what browsers and
    /// proxies do (RFC 9110, section 9.2.2), and what those of a load balancer must do that closes idle connections when
    /// it reloads.
    pub resend: bool,
}

impl Load {
    /// A steady load on `target`: 8 clients that rest for 5 ms, at most 5 s a request.
    pub fn steady(target: SocketAddr) -> Self {
        let (rest, timeout) = (Duration::from_millis(5), Duration::from_secs(5));
        Self { target, host: None, path: "/".into(), clients: 8, keep_alive: true, rest, timeout, resend: false }
    }
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody took the connection.
    Connect,
    /// The connection ended before the whole answer was there.
    Broken,
    /// No answer in time.
    Timeout,
    /// An answer, but an error: its HTTP status.
    Status(u16),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("not connected"),
            Self::Broken => f.write_str("connection broken"),
            Self::Timeout => f.write_str("timed out"),
            Self::Status(code) => write!(f, "status {code}"),
        }
    }
}

/// What came of the requests so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that ended, well or not.
    pub sent: u64,
    /// Those that failed, by kind.
    pub failed: BTreeMap<Failure, u64>,
    /// Answers by the server that gave them, which is their text.
    pub answers: BTreeMap<String, u64>,
    /// Requests that were sent again, whatever came of them.
    pub resent: u64,
}

impl Counts {
    /// How many failed in all.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// How many this server answered.
    pub fn by(&self, server: &str) -> u64 {
        self.answers.get(server).copied().unwrap_or_default()
    }

    /// What came since `earlier`, an older reading of the same traffic.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            failed: less(&self.failed, &earlier.failed),
            answers: less(&self.answers, &earlier.answers),
            resent: self.resent.saturating_sub(earlier.resent),
        }
    }

    /// Adds what came of other traffic.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.resent += other.resent;
        for (failure, times) in &other.failed {
            *self.failed.entry(*failure).or_default() += times;
        }
        for (server, times) in &other.answers {
            *self.answers.entry(server.clone()).or_default() += times;
        }
    }

    fn record(&mut self, outcome: Result<String, Failure>) {
        self.sent += 1;
        match outcome {
            Ok(server) => *self.answers.entry(server).or_default() += 1,
            Err(failure) => *self.failed.entry(failure).or_default() += 1,
        }
    }
}

/// `0 of 812 requests failed`, how where any did, and how many were sent twice where any was.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} requests failed", self.failures(), self.sent)?;
        for (index, (failure, times)) in self.failed.iter().enumerate() {
            write!(f, "{}{failure} {times}", if index == 0 { ": " } else { ", " })?;
        }
        if self.resent > 0 {
            write!(f, "; {} sent again on a new connection", self.resent)?;
        }
        Ok(())
    }
}

fn less<K: Ord + Clone>(now: &BTreeMap<K, u64>, then: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let left = now.iter().map(|(key, count)| (key.clone(), count - then.get(key).unwrap_or(&0).min(count)));
    left.filter(|(_, count)| *count > 0).collect()
}

/// Running traffic. Dropped, it stops; [`Traffic::stop`] lets the requests under way end and be counted.
#[derive(Debug)]
pub struct Traffic {
    counts: Arc<Mutex<Counts>>,
    stop: CancellationToken,
    clients: TaskTracker,
}

impl Traffic {
    /// Sets the clients going; an error where the path or the Host header is none.
    pub fn start(load: &Load) -> Result<Self, http::Error> {
        Self::of(std::slice::from_ref(load))
    }

    /// The same with the clients of several loads, counted together.
    pub fn of(loads: &[Load]) -> Result<Self, http::Error> {
        let (counts, stop, clients) = (Arc::default(), CancellationToken::new(), TaskTracker::new());
        for load in loads.iter().flat_map(|load| std::iter::repeat_n(load, load.clients)) {
            let client = Client::new(load)?;
            clients.spawn(client.run(load.rest, Arc::clone(&counts), stop.clone()));
        }
        clients.close();
        Ok(Self { counts, stop, clients })
    }

    /// What came of it so far.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Waits until `seen` holds, looking every millisecond, and says how long it took; `None` after `limit`.
    pub async fn wait(&self, limit: Duration, mut seen: impl FnMut(&Counts) -> bool) -> Option<Duration> {
        let begun = Instant::now();
        while !seen(&lock(&self.counts)) {
            if begun.elapsed() > limit {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Some(begun.elapsed())
    }

    /// Stops asking, waits for the answers still out, and returns the last count.
    pub async fn stop(self) -> Counts {
        self.stop.cancel();
        self.clients.wait().await;
        self.counts()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Client {
    http: client::Client,
    request: Request<Bytes>,
    resends: bool,
}

impl Client {
    /// After a failure a client rests at least this long: a dead balancer is no reason to spin.
    const AFTER_FAILURE: Duration = Duration::from_millis(10);

    fn new(load: &Load) -> Result<Self, http::Error> {
        let host = load.host.clone().unwrap_or_else(|| load.target.to_string());
        let request = Request::get(format!("http://{}{}", load.target, load.path)).header(HOST, host);
        let http = client::Client::new(load.keep_alive, load.timeout);
        Ok(Self { http, request: request.body(Bytes::new())?, resends: load.keep_alive && load.resend })
    }

    async fn run(self, rest: Duration, counts: Arc<Mutex<Counts>>, stop: CancellationToken) {
        // Whether the last request may have left a connection to be used again.
        let mut kept = false;
        while !stop.is_cancelled() {
            let mut outcome = self.ask().await;
            if outcome == Err(Failure::Broken) && kept && self.resends {
                lock(&counts).resent += 1;
                outcome = self.ask().await;
            }
            kept = outcome.is_ok();
            let rest = if outcome.is_err() { rest.max(Self::AFTER_FAILURE) } else { rest };
            lock(&counts).record(outcome);
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// One request. Returns the answer's text without the space around it.
    async fn ask(&self) -> Result<String, Failure> {
        let answer = self.http.ask(self.request.clone()).await.map_err(|e| failure(&e))?;
        if !answer.status.is_success() {
            return Err(Failure::Status(answer.status.as_u16()));
        }
        answer.text.map(|text| text.trim().to_owned()).map_err(|e| failure(&e))
    }
}

fn failure(error: &Unanswered) -> Failure {
    match error {
        Unanswered::Timeout(_) => Failure::Timeout,
        Unanswered::Connect(_) => Failure::Connect,
        Unanswered::Broken(_) => Failure::Broken,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::demo::Web;

    const SOON: Duration = Duration::from_secs(10);

    async fn check_failure(target: SocketAddr, path: &str, expected: Failure) {
        let load = Load { path: path.into(), clients: 1, timeout: Duration::from_millis(200), ..Load::steady(target) };
        let traffic = Traffic::start(&load).unwrap();
        traffic.wait(SOON, |counts| counts.failures() > 1).await.expect("requests fail");
        let counts = traffic.stop().await;
        assert_eq!(counts.failed.keys().collect::<Vec<_>>(), [&expected]);
        assert_eq!(counts.answers, BTreeMap::new());
    }

    #[tokio::test]
    async fn it_counts_answers_by_server_and_stops_cleanly() {
        let web = Web::start(([127, 0, 0, 1], 0).into(), "web1").await.unwrap();
        let load = Load { clients: 3, rest: Duration::ZERO, ..Load::steady(web.addr()) };
        let traffic = Traffic::start(&load).unwrap();
        traffic.wait(SOON, |counts| counts.by("web1") > 50).await.expect("answers come");
        let counts = traffic.stop().await;
        assert_eq!((counts.failures(), counts.sent), (0, counts.by("web1")));
        assert_eq!(web.served(), counts.sent, "what was begun was counted");
    }

    #[tokio::test]
    async fn each_failure_has_its_kind() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        check_failure(closed, "/", Failure::Connect).await;

        let web = Web::start(([127, 0, 0, 1], 0).into(), "web1").await.unwrap();
        check_failure(web.addr(), "/slow?ms=5000", Failure::Timeout).await;
        check_failure(web.addr(), "/slow?ms=x", Failure::Status(400)).await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rude = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // A byte of the request is enough: closing now breaks it.
                let _ = stream.read(&mut [0; 1]).await;
            }
        });
        check_failure(rude, "/", Failure::Broken).await;
    }

    /// A server that answers the first request of each connection, and closes it at the second.
    async fn closes_what_is_kept() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                let _ = stream.read(&mut [0; 1024]).await;
            }
        });
        addr
    }

    #[tokio::test]
    async fn only_what_breaks_on_a_kept_connection_is_sent_again_and_only_where_it_is_to_be() {
        let target = closes_what_is_kept().await;
        for (resend, fail) in [(true, false), (false, true)] {
            let load = Load { clients: 1, resend, ..Load::steady(target) };
            let traffic = Traffic::start(&load).unwrap();
            traffic.wait(SOON, |counts| counts.sent > 6).await.expect("answers come");
            let counts = traffic.stop().await;
            assert_eq!((counts.failures() > 0, counts.resent > 0), (fail, !fail), "{counts}");
        }
        let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let load = Load { clients: 1, resend: true, ..Load::steady(rude.local_addr().unwrap()) };
        tokio::spawn(async move { while rude.accept().await.is_ok() {} });
        let traffic = Traffic::start(&load).unwrap();
        traffic.wait(SOON, |counts| counts.failures() > 1).await.expect("requests fail");
        assert_eq!(traffic.stop().await.resent, 0, "a new connection that breaks is a failure");
    }

    #[test]
    fn counts_since_an_earlier_reading() {
        let mut counts = Counts::default();
        counts.record(Ok("web1".into()));
        counts.record(Err(Failure::Connect));
        let earlier = counts.clone();
        assert_eq!(counts.since(&earlier).to_string(), "0 of 0 requests failed");
        counts.record(Err(Failure::Status(503)));
        counts.record(Err(Failure::Connect));
        counts.record(Ok("web2".into()));
        let since = counts.since(&earlier);
        assert_eq!((since.by("web1"), since.by("web2")), (0, 1));
        assert_eq!(since.to_string(), "2 of 3 requests failed: not connected 1, status 503 1");
    }

    #[test]
    fn counts_of_several_add_up() {
        let (mut all, mut other) = (Counts::default(), Counts::default());
        for counts in [&mut all, &mut other] {
            counts.record(Ok("web1".into()));
            counts.record(Err(Failure::Timeout));
        }
        other.record(Ok("web2".into()));
        all.add(&other);
        assert_eq!((all.by("web1"), all.by("web2")), (2, 1));
        assert_eq!(all.to_string(), "2 of 5 requests failed: timed out 2");
    }
}
