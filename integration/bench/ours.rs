//! Our side: `backchat lb` beside a load balancer, `backchat agent` beside each web server.

use std::{
    ffi::OsString,
    marker::PhantomData,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Child, Plane, plane::Driver, ports};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{
    judge::Judge,
    side::{LIMIT, Seat, Side},
};

/// backchat beside a load balancer of this kind.
pub(crate) struct Backchat<K = Haproxy> {
    front: SocketAddr,
    gossip: SocketAddr,
    judge: Judge,
    _lb: Child,
    _kind: PhantomData<K>,
}

/// Which load balancer it is.
pub(crate) trait Kind {
    /// What the progress calls it.
    const NAME: &'static str;

    /// What tells an `lb` to drive it.
    fn flags() -> Vec<OsString>;

    /// Who sees the one in this folder.
    fn judge(run_dir: PathBuf) -> Judge;
}

/// The one that Serf is compared on.
pub(crate) struct Haproxy;

pub(crate) struct Nginx;

pub(crate) struct Openresty;

impl Kind for Haproxy {
    const NAME: &'static str = "backchat";

    fn flags() -> Vec<OsString> {
        Driver::Haproxy.flags()
    }

    fn judge(run_dir: PathBuf) -> Judge {
        Judge::Of(Plane::new(Driver::Haproxy, run_dir))
    }
}

impl Kind for Nginx {
    const NAME: &'static str = "nginx";

    fn flags() -> Vec<OsString> {
        Driver::Nginx.flags()
    }

    fn judge(run_dir: PathBuf) -> Judge {
        Judge::Of(Plane::new(Driver::Nginx, run_dir))
    }
}

impl Kind for Openresty {
    const NAME: &'static str = "openresty";

    fn flags() -> Vec<OsString> {
        // Which program that is, `lb` reads from the environment itself.
        vec!["--driver=openresty".into()]
    }

    fn judge(run_dir: PathBuf) -> Judge {
        Judge::Openresty(run_dir)
    }
}

/// Serf's default as well: bound to loopback, ours would choose the quicker `local`.
const PROFILE: &str = "--profile=lan";

impl<K: Kind> Side for Backchat<K> {
    const NAME: &'static str = K::NAME;

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
            format!("--run-dir={}", run_dir.display()),
            PROFILE.into(),
        ];
        let args = args.into_iter().map(OsString::from).chain(K::flags());
        let lb = Child::start(Self::program(), args, &folder.join("balancer.log"))?;
        let (begun, judge) = (Instant::now(), K::judge(run_dir));
        while judge.answers().await.is_err() {
            ensure!(begun.elapsed() < LIMIT, "{judge} did not start:\n{}", lb.last_words(10));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { front, gossip, judge, _lb: lb, _kind: PhantomData })
    }

    fn front(&self) -> SocketAddr {
        self.front
    }

    fn judge(&self) -> &Judge {
        &self.judge
    }

    fn agent(&self, seat: &Seat) -> Result<Vec<String>> {
        let Seat { name, service, web, gossip } = seat;
        let host = Seat::host(service).map(|host| format!(",host={host}")).unwrap_or_default();
        let run_dir = self.judge.run_dir().with_file_name(name);
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

impl<K> Backchat<K> {
    /// Where its files lie.
    pub(crate) fn run_dir(&self) -> &Path {
        self.judge.run_dir()
    }

    /// One question to the daemon; a client command would cost a process each.
    async fn get(&self, path: &str) -> Result<Value> {
        let begun = Instant::now();
        let admin = self.judge.run_dir().join("admin.sock");
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
