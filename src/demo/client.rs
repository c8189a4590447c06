//! An HTTP client that never sends a request twice: what fails, fails, and whoever asks counts it.
//!
//! A usual client repeats in silence, a POST too, when a kept connection closes before the request is written: what a
//! balancer does that reloads. One that is to show that no request is lost must not hide those. It must not know who
//! asks, nor why.

use std::{error::Error, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, Request, Response, StatusCode, header::ACCEPT},
};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, timeout_at};

/// The longest answer that is read, in bytes.
const MAX: usize = 1 << 20;

/// A client of one target, over HTTP/1.1.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<HttpConnector, Body>,
    timeout: Duration,
}

/// An answer whose head came.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What it says, as far as it is UTF-8. It was read to its end where it could be, so that the connection lives on.
    pub text: Result<String, Unanswered>,
}

/// How a request got no whole answer. It says its causes.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody took the connection.
    #[error("{0}")]
    Connect(String),
    /// The connection ended before the whole answer was there, or before the request was sent.
    #[error("{0}")]
    Broken(String),
    /// Not whole in time.
    #[error("timed out after {0:?}")]
    Timeout(Duration),
}

impl Client {
    /// Keeps its connection, or makes one for each request; one that takes longer than `timeout` has failed.
    pub fn new(keep_alive: bool, timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(usize::from(keep_alive))
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { http, timeout }
    }

    /// One request, sent at most once; no redirect is followed.
    pub async fn ask(&self, request: Request<Bytes>) -> Result<Answer, Unanswered> {
        let late = |_| Unanswered::Timeout(self.timeout);
        let deadline = Instant::now() + self.timeout;
        let mut request = request.map(Body::from);
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let answer = timeout_at(deadline, self.http.request(request)).await.map_err(late)?;
        let answer = answer.map_err(|e| unanswered(&e))?;
        let status = answer.status();
        let text = timeout_at(deadline, text(answer)).await.unwrap_or_else(|e| Err(late(e)));
        Ok(Answer { status, text })
    }
}

async fn text(answer: Response<Incoming>) -> Result<String, Unanswered> {
    let bytes = to_bytes(Body::new(answer.into_body()), MAX).await;
    let bytes = bytes.map_err(|e| Unanswered::Broken(causes(&e)))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unanswered(error: &legacy::Error) -> Unanswered {
    if error.is_connect() { Unanswered::Connect(causes(error)) } else { Unanswered::Broken(causes(error)) }
}

/// An error with its causes; one that only repeats the one before is left out.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    let mut causes: Vec<_> = chain.map(ToString::to_string).collect();
    causes.dedup();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener},
        sync::mpsc,
        thread,
    };

    use tokio::task::yield_now;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A server that keeps its first connection open after its answer, until told, and then says that it closed it. On
    /// others it answers too.
    fn closes(told: mpsc::Receiver<()>, closed: mpsc::Sender<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                // An error once the test has ended.
                let _ = told.recv();
                drop(stream);
                let _ = closed.send(());
            }
        });
        addr
    }

    /// As when HAProxy's old worker ends at this very instant: the end of the connection is there, and the client has
    /// not looked yet.
    #[tokio::test]
    async fn a_kept_connection_that_closes_under_a_request_is_a_failure() {
        let (tell, told) = mpsc::channel();
        let (close, closed) = mpsc::channel();
        let addr = closes(told, close);
        let client = Client::new(true, SOON);
        let request = Request::post(format!("http://{addr}/")).body(Bytes::from("x")).unwrap();
        let first = client.ask(request.clone()).await.unwrap();
        assert_eq!((first.status, first.text.unwrap().as_str()), (StatusCode::OK, "ok"));
        // The connection goes back to the pool beside us, on this same thread.
        for _ in 0..100 {
            yield_now().await;
        }
        // Nothing else runs on this thread meanwhile, so nobody sees it close; then the end wakes the connection, and
        // the request is handed over before it is run.
        tell.send(()).unwrap();
        closed.recv_timeout(SOON).unwrap();
        yield_now().await;
        let failed = client.ask(request).await.unwrap_err();
        assert!(matches!(&failed, Unanswered::Broken(how) if how.contains("canceled")), "{failed:?}");
    }
}
