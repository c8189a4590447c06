//! Our side: `backchat lb` beside HAProxy, `backchat agent` beside each web server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Child, plane, ports};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::side::{LIMIT, Seat, Side, haproxy};

/// backchat beside HAProxy.
pub(crate) struct Backchat {
    front: SocketAddr,
    gossip: SocketAddr,
    run_dir: PathBuf,
    socket: PathBuf,
    _lb: Child,
}

/// Serf's default as well: bound to loopback, ours would choose the quicker `local`.
const PROFILE: &str = "--profile=lan";

impl Side for Backchat {
    const NAME: &'static str = "backchat";

    fn program() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_backchat"))
    }

    /// The services come with their members.
    async fn start(folder: &Path, _services: &[&str]) -> Result<Self> {
        let (front, gossip, run_dir) = (ports::free()?, ports::free()?, folder.join("proxy"));
        let args = [
            "lb".to_owned(),
            "--node=proxy".into(),
            format!("--bind={gossip}"),
            format!("--listen={front}"),
            format!("--haproxy={}", haproxy().display()),
            format!("--run-dir={}", run_dir.display()),
            PROFILE.into(),
        ];
        let lb = Child::start(Self::program(), args, &folder.join("balancer.log"))?;
        let socket = run_dir.join("haproxy.sock");
        let started = plane::wait(&socket, LIMIT, |_| true).await;
        started.with_context(|| format!("HAProxy did not start:\n{}", lb.last_words(10)))?;
        Ok(Self { front, gossip, run_dir, socket, _lb: lb })
    }

    fn front(&self) -> SocketAddr {
        self.front
    }

    fn socket(&self) -> &Path {
        &self.socket
    }

    fn agent(&self, seat: &Seat) -> Result<Vec<String>> {
        let Seat { name, service, web, gossip } = seat;
        let host = Seat::host(service).map(|host| format!(",host={host}")).unwrap_or_default();
        let run_dir = self.run_dir.with_file_name(name);
        Ok(vec![
            "agent".to_owned(),
            format!("--node={name}"),
            format!("--bind={gossip}"),
            format!("--join={}", self.gossip),
            format!("--service={service}:{}{host}", web.port()),
            format!("--run-dir={}", run_dir.display()),
            PROFILE.into(),
        ])
    }

    fn leave(&self, agent: &Child) -> Result<()> {
        Ok(agent.terminate()?)
    }

    async fn known(&self) -> Result<usize> {
        let answer = self.get("/v1/members").await?;
        let members = answer["members"].as_array().context("a list of members")?;
        Ok(members.iter().filter(|m| m["liveness"] == "alive" && m["name"] != "proxy").count())
    }
}

impl Backchat {
    /// One question to the daemon; a client command would cost a process each.
    async fn get(&self, path: &str) -> Result<Value> {
        let begun = Instant::now();
        let admin = self.run_dir.join("admin.sock");
        let mut stream = loop {
            match UnixStream::connect(&admin).await {
                Ok(stream) => break stream,
                Err(error) => ensure!(begun.elapsed() < LIMIT, "connect {}: {error}", admin.display()),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let request = format!("GET {path} HTTP/1.0\r\nHost: backchat\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer with a body")?;
        serde_json::from_str(body).with_context(|| format!("GET {path}: {answer}"))
    }
}
