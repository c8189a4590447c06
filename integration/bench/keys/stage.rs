//! A Redis full of hosts, a balancer that follows it, and two web servers.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::http::Request;
use backchat::demo::{Child, child::Folder, client::Client, ports};
use bytes::Bytes;

use crate::{ours::Kind, reload, usage, wrk};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Stage {
    front: SocketAddr,
    hosts: usize,
    webs: [Fast; 2],
    /// Which of them each changed host is answered by.
    answered: Vec<bool>,
    redis: redis::aio::MultiplexedConnection,
    lb: Child,
    _redis: Child,
    _folder: Folder,
}

/// A web server that says its name, and costs next to nothing: an nginx.
pub(super) struct Fast {
    pub(super) addr: SocketAddr,
    name: String,
    _process: Child,
}

fn host(number: usize) -> String {
    format!("h{number}.example.com")
}

impl Stage {
    /// How long it took from the start of `lb` until all are served.
    pub(super) async fn start<K: Kind>(hosts: usize) -> Result<(Self, Duration)> {
        let folder = Folder::new("backchat-keys-")?;
        let webs = [Fast::start(folder.path(), "one")?, Fast::start(folder.path(), "two")?];
        let (server, mut redis) = redis(folder.path()).await?;
        for first in (0..hosts).step_by(1000) {
            let mut pipeline = redis::pipe();
            for number in first..(first + 1000).min(hosts) {
                list(&mut pipeline, number, &webs[0]);
            }
            pipeline.exec_async(&mut redis).await?;
        }
        let (front, log) = (ports::free()?, folder.path().join("lb.log"));
        let args = [
            "lb".to_owned(),
            "--node=proxy".into(),
            "--no-gossip".into(),
            "--hipache".into(),
            format!("--source=redis://{}", server.1),
            format!("--listen={front}"),
            format!("--run-dir={}", folder.path().join("proxy").display()),
        ];
        let begun = Instant::now();
        let args = args.into_iter().map(OsString::from).chain(K::flags());
        let lb = Child::start(Path::new(env!("CARGO_BIN_EXE_backchat")), args, &log)?;
        let client = Client::new(false, Duration::from_secs(10));
        for number in [hosts - 1, 0, hosts / 2] {
            while !answers(&client, front, number, "one").await {
                ensure!(begun.elapsed() < LIMIT, "host {number} is not served:\n{}", lb.last_words(10));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let loaded = begun.elapsed();
        let answered = vec![false; hosts];
        Ok((Self { front, hosts, webs, answered, redis, lb, _redis: server.0, _folder: folder }, loaded))
    }

    /// Has one host answered by the other web server; how long that took from Redis's answer on.
    pub(super) async fn change(&mut self, number: usize) -> Result<Duration> {
        // Spread over all, and not in step with anything that happens every second.
        let at = (number * 7919 + 13) % self.hosts;
        tokio::time::sleep(Duration::from_millis(200 + (number as u64 * 37) % 170)).await;
        let next = !self.answered[at];
        let web = &self.webs[usize::from(next)];
        let client = Client::new(true, Duration::from_secs(10));
        let _warm = answers(&client, self.front, at, &web.name).await;
        let mut pipeline = redis::pipe();
        list(&mut pipeline, at, web);
        pipeline.exec_async(&mut self.redis).await?;
        let begun = Instant::now();
        while !answers(&client, self.front, at, &web.name).await {
            ensure!(begun.elapsed() < LIMIT, "host {at} is not changed:\n{}", self.lb.last_words(10));
        }
        self.answered[at] = next;
        Ok(begun.elapsed())
    }

    /// Requests a second of one host among all.
    pub(super) async fn requests(&self, time: Duration) -> Result<f64> {
        requests(self.front, &host(self.hosts / 2), time).await
    }

    /// Where the first of the web servers listens.
    pub(super) fn web(&self) -> SocketAddr {
        self.webs[0].addr
    }

    /// Of `lb`, resident.
    pub(super) fn memory(&self) -> Result<f64> {
        Ok(usage::memory(self.lb.pid())?.rss)
    }
}

/// Requests a second that are answered well.
pub(super) async fn requests(front: SocketAddr, host: &str, time: Duration) -> Result<f64> {
    let wrk = wrk::start_for(front, host)?;
    let begun = Instant::now();
    tokio::time::sleep(time).await;
    let took = begun.elapsed();
    let report = wrk.finish().await?;
    ensure!(report.broken == 0, "{} requests were not answered well", report.broken);
    let requests = u32::try_from(report.requests).context("more requests than can be")?;
    Ok(f64::from(requests) / took.as_secs_f64())
}

async fn answers(client: &Client, front: SocketAddr, number: usize, name: &str) -> bool {
    let request = Request::get(format!("http://{front}/")).header("host", host(number)).body(Bytes::new());
    let Ok(request) = request else { return false };
    let answer = client.ask(request).await;
    answer.is_ok_and(|answer| answer.status == 200 && answer.text.is_ok_and(|text| text.trim() == name))
}

/// A host's list, in place of what there was.
fn list(pipeline: &mut redis::Pipeline, number: usize, web: &Fast) {
    let key = format!("frontend:{}", host(number));
    let url = format!("http://{}", web.addr);
    pipeline.atomic().cmd("DEL").arg(&key).ignore();
    pipeline.cmd("RPUSH").arg(&key).arg(format!("app{number}")).arg(url).ignore();
}

async fn redis(folder: &Path) -> Result<((Child, SocketAddr), redis::aio::MultiplexedConnection)> {
    let addr = ports::free()?;
    let port = addr.port().to_string();
    let dir = folder.display().to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &dir, "--notify-keyspace-events", "AK"];
    let server = Child::start(Path::new("redis-server"), args, &folder.join("redis.log"))?;
    let (begun, client) = (Instant::now(), redis::Client::open(format!("redis://{addr}"))?);
    let settings = redis::AsyncConnectionConfig::new().set_response_timeout(Some(LIMIT));
    loop {
        match client.get_multiplexed_async_connection_with_config(&settings).await {
            Ok(connection) => return Ok(((server, addr), connection)),
            Err(error) => ensure!(begun.elapsed() < LIMIT, "redis-server does not start: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Fast {
    fn start(folder: &Path, name: &str) -> Result<Self> {
        let (addr, dir) = (ports::free()?, folder.join(name));
        std::fs::create_dir(&dir)?;
        let text = format!(
            "daemon off; pid {dir}/pid; error_log {dir}/log; worker_processes 1;\n\
             events {{ worker_connections 8192; }}\n\
             http {{ access_log off; keepalive_requests 1000000;\n\
             server {{ listen {addr} backlog=8192; location / {{ return 200 \"{name}\\n\"; }} }} }}\n",
            dir = dir.display()
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, text).context("write a web server's file")?;
        let args = ["-c".into(), file.into_os_string(), "-p".into(), dir.clone().into_os_string()];
        let process = Child::start(&reload::nginx(), args, &dir.join("out"))?;
        Ok(Self { addr, name: name.to_owned(), _process: process })
    }
}
