//! A tiny web server that answers every request with its own name, so that traffic tells who served it.
//!
//! It stands for the real service beside an agent. It must not know backchat: it neither gossips nor drains.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Query, routing::any};
use serde::Deserialize;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A web server in this process. Dropped, it stops at once; [`Web::stop`] lets requests end.
#[derive(Debug)]
pub struct Web {
    addr: SocketAddr,
    served: Arc<AtomicU64>,
    hurried: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Web {
    /// Listens on `addr` (port 0: one of the system's choice) and answers with `name`.
    pub async fn start(addr: SocketAddr, name: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (served, hurried, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new(), CancellationToken::new());
        let http = axum::serve(listener, router(name, Arc::clone(&served), hurried.clone()));
        let task = tokio::spawn(http.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future());
        Ok(Self { addr, served, hurried, stop, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Requests that began since the start.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Answers all that is slow at once, now and from now on.
    pub fn hurry(&self) {
        self.hurried.cancel();
    }

    /// Takes no new connection, and returns once those open have ended or after a second.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        match tokio::time::timeout(Duration::from_secs(1), &mut self.task).await {
            Ok(ended) => ended.map_err(io::Error::other)?,
            Err(_) => Ok(()), // An idle keep-alive connection: dropping the task closes it.
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default)]
    ms: u64,
}

/// Any path and method answers the name; `/slow?ms=N` after N milliseconds, at most a minute.
fn router(name: &str, served: Arc<AtomicU64>, hurried: CancellationToken) -> Router {
    let answer = format!("{name}\n");
    let slow = answer.clone();
    let slow = |Query(Slow { ms }): Query<Slow>| async move {
        // An error says that the time was over first.
        let _ = tokio::time::timeout(Duration::from_millis(ms.min(60_000)), hurried.cancelled()).await;
        slow
    };
    let count = move |request: axum::extract::Request| {
        served.fetch_add(1, Ordering::Relaxed);
        std::future::ready(request)
    };
    Router::new()
        .route("/slow", any(slow))
        .fallback(move || std::future::ready(answer.clone()))
        .layer(axum::middleware::map_request(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_its_name_and_counts() {
        let web = Web::start(([127, 0, 0, 1], 0).into(), "web1").await.unwrap();
        let client = reqwest::Client::new();
        for path in ["", "any/path", "slow?ms=1", "slow"] {
            let answer = client.get(format!("http://{}/{path}", web.addr())).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "web1\n"), "{path}");
        }
        let posted = client.post(format!("http://{}/form", web.addr())).body("x").send().await.unwrap();
        assert_eq!(posted.text().await.unwrap(), "web1\n");
        let posted = client.post(format!("http://{}/slow?ms=1", web.addr())).body("x").send().await.unwrap();
        assert_eq!(posted.text().await.unwrap(), "web1\n");
        assert_eq!(web.served(), 6);
        web.stop().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_slow_is_answered_at_once_when_hurried() {
        let web = Web::start(([127, 0, 0, 1], 0).into(), "web1").await.unwrap();
        let request = tokio::spawn(reqwest::get(format!("http://{}/slow?ms=60000", web.addr())));
        while web.served() == 0 {
            tokio::task::yield_now().await;
        }
        web.hurry();
        let answer = tokio::time::timeout(Duration::from_secs(10), request).await.expect("it need not wait");
        assert_eq!(answer.unwrap().unwrap().text().await.unwrap(), "web1\n");
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error() {
        let web = Web::start(([127, 0, 0, 1], 0).into(), "web1").await.unwrap();
        assert_eq!(Web::start(web.addr(), "web2").await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
