//! The client of the admin API: finds the daemon, asks, and says what is wrong in words.

mod events;
mod find;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, header};
use serde::{Serialize, de::DeserializeOwned};

pub(super) use self::events::{Events, Heard};
use self::find::{Found, find, folders, names, others};
use super::Exit;
use crate::{
    admin::{
        Addr, Token, TokenError,
        answers::{self, Format},
    },
    model::words::quoted,
};

/// Longer than any command of the daemon takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens.
    #[error("no daemon at {addr}; {}", others(found, roots))]
    Nobody { addr: Addr, found: Vec<Found>, roots: Arc<[PathBuf]> },
    /// No daemon on this host.
    #[error("no daemon below {}; start 'backchat agent' or 'backchat lb', or say --admin", folders(.0))]
    NoneHere(Arc<[PathBuf]>),
    /// More than one.
    #[error("several daemons run here: {}; choose one, like --admin {}", names(.0), .0.first().map(|f| f.addr.to_string()).unwrap_or_default())]
    Several(Vec<Found>),
    /// The socket is somebody else's.
    #[error("{0}: permission denied; ask as the user who runs the daemon, or as root")]
    Denied(Addr),
    /// The token to say is not there.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The daemon answered that it cannot.
    #[error("{text}")]
    Refused { status: u16, text: String },
    /// Something else went wrong on the way.
    #[error("{addr}: {text}")]
    Broken { addr: Addr, text: String },
}

/// An answer, as it came and as it was understood.
pub(super) struct Answer<T> {
    /// The text, for `--format json`.
    pub(super) text: String,
    /// What it says.
    pub(super) value: T,
}

/// One daemon to ask.
pub(super) struct Client {
    http: reqwest::Client,
    addr: Addr,
    token: Option<Token>,
    roots: Arc<[PathBuf]>,
}

impl ClientError {
    /// Which status it ends with.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NoneHere(_)
            | Self::Nobody { .. }
            | Self::Denied(_)
            | Self::Broken { .. }
            | Self::Refused { status: 401 | 503 | 504, .. } => Exit::Unreachable,
            Self::Several(_) | Self::Refused { status: 400 | 501, .. } => Exit::Usage,
            Self::Refused { status: 412, .. } => Exit::Held,
            Self::Token(_) | Self::Refused { status: 421 | 422, .. } => Exit::Config,
            Self::Refused { .. } => Exit::Failed,
        }
    }
}

impl Client {
    /// The daemon at this address, else the only one whose run folder lies below one of the roots.
    pub(super) fn open(given: Option<Addr>, roots: Arc<[PathBuf]>) -> Result<Self, ClientError> {
        let addr = match given {
            Some(addr) => addr,
            None => only(&roots)?,
        };
        let builder = reqwest::Client::builder().timeout(DEADLINE).no_proxy();
        let builder = match &addr {
            Addr::Unix(path) => builder.unix_socket(path.as_path()),
            Addr::Tcp(_) => builder,
        };
        let http = builder.build().map_err(|e| broken(&addr, &e))?;
        Ok(Self { http, addr, token: None, roots })
    }

    /// Says this token over TCP, where there is one. A unix socket asks for none.
    pub(super) fn saying(self, token: Option<Token>) -> Self {
        let token = token.filter(|_| matches!(self.addr, Addr::Tcp(_)));
        Self { token, ..self }
    }

    /// Which daemon is asked.
    pub(super) fn addr(&self) -> &Addr {
        &self.addr
    }

    pub(super) async fn get<T: Format + DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, ClientError> {
        self.send(self.request(Method::GET, path)).await
    }

    pub(super) async fn post<T: Format + DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, ClientError> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.bearer()),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        match &self.addr {
            Addr::Unix(_) => format!("http://localhost{path}"),
            Addr::Tcp(addr) => format!("http://{addr}{path}"),
        }
    }

    async fn send<T: Format + DeserializeOwned>(&self, request: RequestBuilder) -> Result<Answer<T>, ClientError> {
        let response = request.send().await.map_err(|e| self.unsent(&e))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let text = response.text().await.map_err(|e| broken(&self.addr, &e))?;
        let value = self.understand(&text)?;
        Ok(Answer { text, value })
    }

    /// What the daemon says instead of an answer.
    async fn refused(&self, response: reqwest::Response) -> ClientError {
        let status = response.status();
        let text = match response.text().await {
            Ok(text) => text,
            Err(error) => return broken(&self.addr, &error),
        };
        let said = serde_json::from_str::<answers::Error>(&text).ok().map(|e| e.error);
        let said = said.or_else(|| serde_json::from_str::<answers::Health>(&text).ok()?.why);
        let text = said.unwrap_or_else(|| format!("{}: the answer was {status}", self.addr));
        ClientError::Refused { status: status.as_u16(), text }
    }

    fn understand<T: Format + DeserializeOwned>(&self, text: &str) -> Result<T, ClientError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: String,
        }
        let wrong = |text: String| ClientError::Broken { addr: self.addr.clone(), text };
        let foreign = || wrong("what answers there is no backchat".into());
        let head: Head = serde_json::from_str(text).map_err(|_| foreign())?;
        if head.format != T::FORMAT {
            let (theirs, ours) = (head.format, T::FORMAT);
            return Err(wrong(format!(
                "it answers in {}, expected {ours}: another version of backchat",
                quoted(&theirs, 40)
            )));
        }
        serde_json::from_str(text).map_err(|e| wrong(format!("cannot read the answer: {e}")))
    }

    /// The connect failed, or broke: what the system said, in words that help.
    fn unsent(&self, error: &reqwest::Error) -> ClientError {
        match io_kind(error) {
            Some(io::ErrorKind::PermissionDenied) => ClientError::Denied(self.addr.clone()),
            Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                ClientError::Nobody { addr: self.addr.clone(), found: find(&self.roots), roots: self.roots.clone() }
            }
            _ => broken(&self.addr, error),
        }
    }
}

fn broken(addr: &Addr, error: &reqwest::Error) -> ClientError {
    if error.is_timeout() {
        return silent(addr);
    }
    let text = chain(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    ClientError::Broken { addr: addr.clone(), text }
}

fn silent(addr: &Addr) -> ClientError {
    ClientError::Broken { addr: addr.clone(), text: format!("no answer within {} s", DEADLINE.as_secs()) }
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |e| e.source())
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    chain(error).find_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The only daemon of this host.
fn only(roots: &Arc<[PathBuf]>) -> Result<Addr, ClientError> {
    let found = find(roots);
    match found.as_slice() {
        [] => Err(ClientError::NoneHere(roots.clone())),
        [one] => Ok(one.addr.clone()),
        _ => Err(ClientError::Several(found)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener, path::Path};

    use super::*;

    /// Folders with sockets: of those that `live` somebody listens on.
    fn host(live: &[&str], dead: &[&str]) -> (tempfile::TempDir, Arc<[PathBuf]>, Vec<UnixListener>) {
        let dir = tempfile::tempdir().unwrap();
        let bind = |name: &&str| {
            fs::create_dir(dir.path().join(name)).unwrap();
            UnixListener::bind(dir.path().join(name).join("admin.sock")).unwrap()
        };
        let listeners = live.iter().map(bind).collect();
        for name in dead {
            drop(bind(name));
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let roots = Arc::from([dir.path().to_owned(), dir.path().join("missing")]);
        (dir, roots, listeners)
    }

    fn error(result: Result<impl Sized, ClientError>, dir: &Path) -> String {
        let Err(error) = result else { panic!("it worked") };
        format!("{:?} {}", error.exit(), error).replace(&dir.display().to_string(), "/run/backchat")
    }

    #[test]
    fn the_only_daemon_is_found() {
        let (dir, roots, _listeners) = host(&["web1"], &["old"]);
        assert_eq!(only(&roots).unwrap(), Addr::Unix(dir.path().join("web1/admin.sock")));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_with_a_way_out() {
        let (dir, roots, _listeners) = host(&[], &["old"]);
        let none = error(Client::open(None, roots), dir.path());
        let (dir, roots, _listeners) = host(&["proxy", "web1"], &["old"]);
        let several = error(Client::open(None, roots.clone()), dir.path());
        let at = |name: &str| Some(Addr::Unix(dir.path().join(name).join("admin.sock")));
        let old = Client::open(at("old"), roots.clone()).unwrap().get::<answers::Members>("/v1/members").await;
        let old = error(old, dir.path());
        let nowhere = Arc::from([dir.path().join("empty")]);
        let missing = Client::open(at("missing"), nowhere).unwrap().get::<answers::Members>("/v1/members").await;
        let missing = error(missing, dir.path());
        insta::assert_snapshot!([none, several, old, missing].join("\n"));
    }

    #[test]
    fn an_answer_of_another_kind_is_not_understood() {
        let client = Client::open(Some("127.0.0.1:1".parse().unwrap()), Arc::from([])).unwrap();
        let check = |text: &str| error(client.understand::<answers::Members>(text), Path::new("/nowhere"));
        assert!(client.understand::<answers::Members>(r#"{"format":"backchat.members/1","members":[]}"#).is_ok());
        let texts =
            [check("hello"), check(r#"{"format":"backchat.members/2"}"#), check(r#"{"format":"backchat.members/1"}"#)];
        insta::assert_snapshot!(texts.join("\n"));
    }
}
