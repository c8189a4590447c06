//! Services that speak bytes alone, each at a listener of its own.

use std::{net::SocketAddr, num::NonZeroU32};

use backchat_contract::{Policies, Protocol, ServicePolicy, TcpListen, policy::Balance};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{bench::Bench, haproxy::free_addr, policies::policies, rig::Streams, web::LONG, words::Wanted};

/// A server that says its name first, and then all that it hears.
pub(super) struct Parrot {
    pub(super) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Parrot {
    pub(super) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let name = format!("{name}\n");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let name = name.clone();
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    if to.write_all(name.as_bytes()).await.is_ok() {
                        // The other side ends it.
                        let _ = tokio::io::copy(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { addr, task }
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says this and hears who says it back; nobody where the connection is closed.
async fn say(to: SocketAddr, text: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream.write_all(text.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.ok()?;
        let (name, echo) = heard.split_once('\n')?;
        (echo == text).then(|| name.to_owned())
    };
    timeout(LONG, exchange).await.expect("an end in time")
}

impl Wanted {
    fn tcp(mut self, service: &str) -> Self {
        self.0.services.entry(service.parse().unwrap()).or_default().protocol = Protocol::Tcp;
        self
    }
}

/// Connections reach the service of their listener, whose servers come, drain and go.
pub(crate) async fn listeners_of_their_own<R: Streams>() {
    let (one, two) = (Parrot::start("one").await, Parrot::start("two").await);
    let [db, cache] = [free_addr(), free_addr()];
    let listen = [(db, "db"), (cache, "cache")];
    let listen = listen.map(|(addr, service)| TcpListen { addr, service: service.parse().unwrap() });
    let policy = ServicePolicy {
        balance: Balance::LeastConn,
        maxconn: NonZeroU32::new(10),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..ServicePolicy::DEFAULT
    };
    let closed = ServicePolicy { allow: vec!["10.0.0.0/8".parse().unwrap()], ..ServicePolicy::DEFAULT };
    let mut bench = Bench::<R>::streams(policies([("db", policy), ("cache", closed)]), listen.to_vec()).await;
    assert_eq!(say(db, "nobody is there").await, None);
    let both = Wanted::default().ready("db", "one", one.addr).ready("db", "two", two.addr).tcp("db");
    let all = both.ready("cache", "one", one.addr).tcp("cache");
    bench.converge(&all).await;
    bench
        .eventually("both answer", async || {
            let heard = [say(db, "hello").await, say(db, "hello").await];
            heard.contains(&Some("one".into())) && heard.contains(&Some("two".into()))
        })
        .await;
    assert_eq!(say(cache, "from where nobody may ask").await, None);
    let drained = all.draining("db", "two", two.addr);
    bench.converge(&drained).await;
    for _ in 0..8 {
        assert_eq!(say(db, "hello").await.as_deref(), Some("one"));
    }
    bench.converge(&drained.without("db", "two")).await;
    assert_eq!(say(db, "hello").await.as_deref(), Some("one"));
}

impl<R: Streams> Bench<R> {
    async fn streams(policies: Policies, listen: Vec<TcpListen>) -> Self {
        use backchat_contract::Driver as _;
        let rig = R::new();
        let mut driver = rig.streams(policies, listen);
        driver.ensure().await.unwrap();
        Self { rig, driver }
    }
}
