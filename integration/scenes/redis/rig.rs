//! A real Redis in a world's folder, and what the scenes say to it.

use std::{net::SocketAddr, path::Path};

use backchat::demo::{Child, Web};
use rustix::process::{Pid, Signal, kill_process};

use super::{ANSWER, loopback};
use crate::scenes::world::{PATIENCE, World, get};

/// A Redis of the test's own.
pub(super) struct Redis {
    process: Child,
    pub(super) addr: SocketAddr,
    args: Vec<String>,
    log: std::path::PathBuf,
    /// What it is asked with.
    secret: Option<String>,
}

impl Redis {
    /// One with these settings, which answers.
    pub(super) async fn start(world: &World, settings: &[&str]) -> Self {
        Self::start_at(world, loopback(), settings).await
    }

    /// The same at this address.
    pub(super) async fn start_at(world: &World, addr: SocketAddr, settings: &[&str]) -> Self {
        let folder = world.folder.path().join(format!("redis-{}", addr.port()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let port = addr.port().to_string();
        let mut args: Vec<String> =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &folder.display().to_string()]
                .map(Into::into)
                .into();
        args.extend(settings.iter().map(ToString::to_string));
        let secret = settings.iter().position(|word| *word == "--requirepass");
        let secret = secret.and_then(|at| settings.get(at + 1)).map(ToString::to_string);
        let log = folder.join("redis.log");
        let process = Child::start(Path::new("redis-server"), &args, &log).expect("redis-server starts");
        let redis = Self { process, addr, args, log, secret };
        world.eventually("Redis answers", || async { redis.ask(&["PING"]).await.is_ok() }).await;
        redis
    }

    /// SIGKILL: what it had is gone.
    pub(super) async fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.ended(PATIENCE).await.expect("it ends");
    }

    /// SIGSTOP, and it says nothing any more; SIGCONT, and it goes on.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.pid().cast_signed()).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    }

    /// Starts it again where it was, without what it had.
    pub(super) async fn restart(&mut self, world: &World) {
        self.process = Child::start(Path::new("redis-server"), &self.args, &self.log).expect("redis-server starts");
        world.eventually("Redis answers again", || async { self.ask(&["PING"]).await.is_ok() }).await;
    }

    /// How it is named as a source, with what stands behind its port.
    pub(super) fn uri(&self, more: &str) -> String {
        format!("redis://{}{more}", self.addr)
    }

    /// What a command comes to, as one line; it must not fail.
    pub(super) async fn run(&self, words: &[&str]) -> String {
        match self.ask(words).await {
            Ok(said) => said,
            Err(error) => panic!("{words:?}: {error}"),
        }
    }

    /// The same by its own client, as people type it.
    pub(super) async fn cli(&self, words: &[&str]) -> String {
        let port = self.addr.port().to_string();
        let mut cli = tokio::process::Command::new("redis-cli");
        let said = cli.args(["-p", &port]).args(words).output().await.expect("redis-cli runs");
        assert!(said.status.success(), "{said:?}");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    /// A frontend of these web servers, in place of what was there.
    pub(super) async fn frontend(&self, host: &str, webs: &[&Web]) {
        let urls: Vec<String> = webs.iter().map(|web| format!("http://{}", web.addr())).collect();
        let (key, mut pipeline) = (format!("frontend:{host}"), redis::pipe());
        pipeline.atomic().del(&key).ignore().rpush(&key, host).ignore();
        for url in &urls {
            pipeline.rpush(&key, url).ignore();
        }
        let mut connection = self.connection().await.expect("it answers");
        pipeline.exec_async(&mut connection).await.expect("it takes a list");
    }

    async fn connection(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let secret = self.secret.as_ref().map_or_else(String::new, |secret| format!(":{secret}@"));
        let client = redis::Client::open(format!("redis://{secret}{}", self.addr))?;
        let settings = redis::AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
        client.get_multiplexed_async_connection_with_config(&settings).await
    }

    pub(super) async fn ask(&self, words: &[&str]) -> redis::RedisResult<String> {
        let mut connection = self.connection().await?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        let said: redis::Value = command.query_async(&mut connection).await?;
        Ok(line(&said))
    }
}

fn line(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        redis::Value::Int(number) => number.to_string(),
        redis::Value::Okay => "OK".into(),
        redis::Value::Array(all) | redis::Value::Set(all) => all.iter().map(line).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

/// A web server that answers its name.
pub(super) async fn web(name: &str) -> Web {
    Web::start(SocketAddr::from(([127, 0, 0, 1], 0)), name).await.expect("a web server")
}

/// Waits until a host is answered by this one.
pub(super) async fn answers(world: &World, host: &str, who: &str) {
    let http = world.proxy().http;
    let answered = || async { get(http, host).await == Some((200, who.to_owned())) };
    world.eventually(&format!("{host} is answered by {who}"), answered).await;
}
