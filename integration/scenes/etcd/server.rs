//! An etcd of one server, with its data in the world's folder; and what an operator does with it.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use backchat::demo::Child;
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::scenes::world::{PATIENCE, World, free};

/// One server.
pub(super) struct Etcd {
    /// Where it is asked in plain text.
    pub(super) addr: SocketAddr,
    /// Where it is asked over TLS, if told so.
    pub(super) tls: SocketAddr,
    peer: SocketAddr,
    more: Vec<String>,
    folder: PathBuf,
    process: Option<Child>,
    /// Who asks.
    token: Option<String>,
    client: reqwest::Client,
}

impl Etcd {
    /// A server that answers.
    pub(super) async fn new(world: &World) -> Self {
        Self::with(world, &[]).await
    }

    /// The same with more flags; with any it listens for TLS too.
    pub(super) async fn with(world: &World, more: &[String]) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let mut etcd = Self {
            addr: free(),
            tls: free(),
            peer: free(),
            more: more.to_vec(),
            folder: world.folder.path().join("etcd"),
            process: None,
            token: None,
            client,
        };
        let addr = etcd.addr;
        etcd.start(world, addr).await;
        etcd
    }

    /// Starts it at an address, with the data that is there, and waits until it answers.
    pub(super) async fn start(&mut self, world: &World, addr: SocketAddr) {
        self.addr = addr;
        let (client, peer) = (format!("http://{addr}"), format!("http://{}", self.peer));
        let clients = if self.more.is_empty() { client } else { format!("{client},https://{}", self.tls) };
        let cluster = format!("default={peer}");
        let data = self.folder.join("data").display().to_string();
        let args = [
            ["--data-dir", &data],
            ["--listen-client-urls", &clients],
            ["--advertise-client-urls", &clients],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--initial-cluster", &cluster],
        ];
        let args = args.as_flattened().iter().map(ToString::to_string).chain(self.more.clone());
        fs::create_dir_all(&self.folder).unwrap();
        let process = Child::start("etcd".as_ref(), args, &self.folder.join("log")).expect("etcd is installed");
        self.process = Some(process);
        let answers = || async {
            let answer = self.client.get(format!("http://{addr}/health")).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        };
        world.eventually("etcd answers", answers).await;
    }

    /// SIGKILL, until it is gone.
    pub(super) async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.ended(PATIENCE).await.unwrap().expect("it was killed");
    }

    /// Stops it, or lets it go on.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().unwrap().pid();
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Takes all that it holds, as a disk does that is gone.
    pub(super) fn forget(&self) {
        fs::remove_dir_all(self.folder.join("data")).unwrap();
    }

    /// What it answers, which must be no error.
    pub(super) async fn ask(&self, path: &str, body: Value) -> Value {
        let mut request = self.client.post(format!("http://{}/v3/{path}", self.addr)).json(&body);
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    /// Puts a key.
    pub(super) async fn put(&self, key: &str, value: &str) {
        self.put_for(key, value, "0").await;
    }

    /// Puts a key that goes with a lease.
    pub(super) async fn put_for(&self, key: &str, value: &str, lease: &str) {
        self.ask("kv/put", json!({ "key": text(key), "value": text(value), "lease": lease })).await;
    }

    /// Puts keys at once: at most 128.
    pub(super) async fn put_all(&self, keys: impl Iterator<Item = (String, &str)>) {
        let put = |(key, value): (String, &str)| json!({ "request_put": { "key": text(&key), "value": text(value) } });
        self.ask("kv/txn", json!({ "success": keys.map(put).collect::<Vec<_>>() })).await;
    }

    /// Takes a key.
    pub(super) async fn delete(&self, key: &str) {
        self.ask("kv/deleterange", json!({ "key": text(key) })).await;
    }

    /// What a key holds, and the lease that it goes with.
    pub(super) async fn get(&self, key: &str) -> Option<(String, String)> {
        let answer = self.ask("kv/range", json!({ "key": text(key) })).await;
        let kv = answer["kvs"].get(0)?;
        let value = BASE64_STANDARD.decode(kv["value"].as_str()?).ok()?;
        Some((String::from_utf8(value).ok()?, kv["lease"].as_str()?.to_owned()))
    }

    /// Forgets all that was before now.
    pub(super) async fn compact(&self) {
        let answer = self.ask("kv/range", json!({ "key": text("x") })).await;
        self.ask("kv/compaction", json!({ "revision": answer["header"]["revision"], "physical": true })).await;
    }

    /// From now on it asks who somebody is; one with this name and password may read and write what begins so.
    pub(super) async fn protect(&mut self, user: &str, password: &str, prefix: &str, may: &str) {
        let end = format!("{}0", prefix.strip_suffix('/').unwrap());
        let permission = json!({ "permType": may, "key": text(prefix), "range_end": text(&end) });
        for (name, password) in [("root", "of all"), (user, password)] {
            self.ask("auth/role/add", json!({ "name": name })).await;
            self.ask("auth/user/add", json!({ "name": name, "password": password })).await;
            self.ask("auth/user/grant", json!({ "user": name, "role": name })).await;
        }
        self.ask("auth/role/grant", json!({ "name": user, "perm": permission })).await;
        self.ask("auth/enable", json!({})).await;
        let root = self.ask("auth/authenticate", json!({ "name": "root", "password": "of all" })).await;
        self.token = Some(root["token"].as_str().unwrap().to_owned());
    }
}

fn text(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}
