//! Asks one server of an etcd at a time: as whom, and the next one where that one failed.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    http::Http,
    keys::Keys,
    watch::Watch,
    wire::{self, Refusal},
};
use crate::{
    model::words::without_errno,
    source::{
        frontends::Read,
        store::{Server, Store},
    },
};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer, in bytes: a page of lists as long as they may be.
const ANSWER_MAX: usize = 64 << 20;

/// Asks an etcd.
pub(super) struct Client {
    store: Store,
    /// Which server is asked, from 0.
    at: usize,
    http: Option<Http>,
    pass: Option<Pass>,
}

/// What a request shows.
enum Pass {
    Token(String),
    /// The store asks nobody who they are.
    NotNeeded,
}

/// What all keys held at a revision.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) read: Read,
    pub(super) revision: i64,
}

impl Client {
    /// One that has asked nothing yet.
    pub(super) fn new(store: Store) -> Self {
        Self { store, at: 0, http: None, pass: None }
    }

    /// Asks the next server from now on, and says anew who asks.
    pub(super) fn turn(&mut self) {
        self.at = (self.at + 1) % self.store.servers().count();
        (self.http, self.pass) = (None, None);
    }

    /// What all keys hold: page by page, all as they were when the first was read.
    pub(super) async fn list(&mut self, keys: &Keys) -> Result<Listed, String> {
        let mut listed = Listed::default();
        for beginning in keys.beginnings() {
            let mut from = beginning.clone().into_bytes();
            loop {
                let asked = wire::page(&beginning, &from, listed.revision);
                let page: wire::Range = self.call("/v3/kv/range", &asked).await?;
                if listed.revision == 0 {
                    listed.revision = page.header.revision;
                }
                for kv in &page.kvs {
                    keys.read(&kv.key, Some(&kv.value), &mut listed.read);
                }
                let Some(last) = page.kvs.into_iter().last().filter(|_| page.more) else { break };
                from = last.key;
                from.push(0);
            }
        }
        Ok(listed)
    }

    /// Watches the keys from a revision on, at the same server and on a connection of its own.
    pub(super) async fn watch(&mut self, keys: &Keys, revision: i64) -> Result<Watch, String> {
        self.authenticate().await?;
        let opened = async {
            let mut http = Http::connect(&self.store, self.server()).await?;
            let asked = wire::watches(&keys.beginnings(), revision);
            let head = http.post("/v3/watch", asked, self.token()).await?;
            if head.status() == 200 {
                return Ok(Watch::new(http, head));
            }
            let status = head.status().as_u16();
            let body = http.whole(head, ANSWER_MAX).await?;
            Err(wire::answer::<Value>(status, &body).map_or_else(|refusal| refusal.why, |_| "it does not watch".into()))
        };
        let opened = timeout(ANSWER, opened).await.unwrap_or_else(|_| Err("it does not answer".into()));
        opened.map_err(|why| self.said(&why))
    }

    /// Asks once; where the token is none any more, again with another.
    pub(super) async fn call<T: DeserializeOwned>(&mut self, path: &str, asked: &Value) -> Result<T, String> {
        self.authenticate().await?;
        let answer = match self.exchange(path, asked).await? {
            Err(refusal) if refusal.is_token && self.store.user.is_some() => {
                self.pass = None;
                self.authenticate().await?;
                self.exchange(path, asked).await?
            }
            answer => answer,
        };
        answer.map_err(|refusal: Refusal| self.said(&refusal.why))
    }

    /// What went wrong there, for people.
    pub(super) fn said(&self, why: &str) -> String {
        format!("{}: {}", self.server(), without_errno(why))
    }

    /// Sees to it that there is a token where one is needed.
    async fn authenticate(&mut self) -> Result<(), String> {
        let Some(user) = self.store.user.as_deref().filter(|_| self.pass.is_none()) else { return Ok(()) };
        let who = wire::who(user, &self.store.password()?.unwrap_or_default());
        self.pass = Some(match self.exchange::<wire::Authenticated>("/v3/auth/authenticate", &who).await? {
            Ok(answer) => Pass::Token(answer.token),
            Err(refusal) if refusal.why.contains("authentication is not enabled") => Pass::NotNeeded,
            Err(refusal) => return Err(self.said(&refusal.why)),
        });
        Ok(())
    }

    /// One request and its whole answer. A connection on which anything failed is not used again.
    async fn exchange<T: DeserializeOwned>(&mut self, path: &str, asked: &Value) -> Result<Result<T, Refusal>, String> {
        let kept = self.http.take().filter(Http::is_open);
        let exchanged = async {
            let mut http = match kept {
                Some(http) => http,
                None => Http::connect(&self.store, self.server()).await?,
            };
            let head = http.post(path, asked.to_string(), self.token()).await?;
            let status = head.status().as_u16();
            let body = http.whole(head, ANSWER_MAX).await?;
            Ok::<_, String>((http, wire::answer(status, &body)))
        };
        let exchanged = timeout(ANSWER, exchanged).await.unwrap_or_else(|_| Err("it does not answer".into()));
        let (http, answer) = exchanged.map_err(|why| self.said(&why))?;
        self.http = Some(http);
        Ok(answer)
    }

    fn server(&self) -> &Server {
        self.store.servers().nth(self.at).unwrap_or(&self.store.server)
    }

    fn token(&self) -> Option<&str> {
        match &self.pass {
            Some(Pass::Token(token)) => Some(token),
            _ => None,
        }
    }
}
