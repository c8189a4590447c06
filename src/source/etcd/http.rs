//! One connection to a gateway, in plain text or over TLS, that whoever asks drives: nothing runs beside it. It knows
//! nothing of what is asked.
//!
//! Not reqwest: once that knows of TLS, every client in the program is one, and reads the system's certificates.

use std::{fs, future::poll_fn, path::Path, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    client::conn::http1::{Connection, SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::source::store::{Server, Store};

/// How long a connection may take to come about, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// When the system asks whether the other side is still there, where nothing came: a watch may be silent for days.
const SILENT: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(5);
const ASKED: u32 = 3;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A connection.
pub(super) struct Http {
    host: String,
    sender: SendRequest<String>,
    /// What moves the bytes; `None` when it has ended.
    driver: Option<Connection<TokioIo<Box<dyn Stream>>, String>>,
}

/// An answer whose head came.
pub(super) type Head = Response<Incoming>;

impl Http {
    /// To a server of this store.
    pub(super) async fn connect(store: &Store, server: &Server) -> Result<Self, String> {
        let connected = timeout(CONNECT, Self::connected(store, server)).await;
        connected.map_err(|_| "it does not answer".to_owned())?
    }

    async fn connected(store: &Store, server: &Server) -> Result<Self, String> {
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(|e| e.to_string())?;
        let alive = TcpKeepalive::new().with_time(SILENT).with_interval(ASK_AGAIN).with_retries(ASKED);
        let set = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&alive));
        set.map_err(|e| e.to_string())?;
        let stream: Box<dyn Stream> = if store.tls {
            let name = ServerName::try_from(server.host.clone()).map_err(|e| e.to_string())?;
            let tls = TlsConnector::from(Arc::new(tls(store)?));
            Box::new(tls.connect(name, stream).await.map_err(|e| e.to_string())?)
        } else {
            Box::new(stream)
        };
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|e| said(&e))?;
        Ok(Self { host: server.to_string(), sender, driver: Some(driver) })
    }

    /// Whether another request may be sent on it.
    pub(super) fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Posts a body; the answer's head.
    pub(super) async fn post(&mut self, path: &str, body: String, token: Option<&str>) -> Result<Head, String> {
        let mut request = Request::post(path).header(HOST, &self.host).header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(body).map_err(|e| e.to_string())?;
        let answer = self.sender.send_request(request);
        driven(&mut self.driver, answer).await.map_err(|e| said(&e))
    }

    /// The next bytes of an answer; `None` at its end. Cancel-safe.
    pub(super) async fn chunk(&mut self, head: &mut Head) -> Result<Option<Bytes>, String> {
        loop {
            let body = head.body_mut();
            let frame = driven(&mut self.driver, poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await;
            match frame.transpose().map_err(|e| said(&e))? {
                None => return Ok(None),
                // Trailers say nothing that the body did not.
                Some(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// A whole answer, of no more than so many bytes.
    pub(super) async fn whole(&mut self, mut head: Head, most: usize) -> Result<Vec<u8>, String> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk(&mut head).await? {
            if whole.len() + bytes.len() > most {
                return Err(format!("it answers with more than {} MiB", most >> 20));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}

/// What `work` comes to while the connection is driven.
async fn driven<T>(
    driver: &mut Option<Connection<TokioIo<Box<dyn Stream>>, String>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    if let Some(connection) = driver {
        tokio::select! {
            biased;
            done = &mut work => return done,
            // Why it ended the work says, which has what came before it.
            _ended = connection => *driver = None,
        }
    }
    work.await
}

fn tls(store: &Store) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(trusted(store.ca.as_deref())?);
    let mut config = match &store.cert {
        Some((cert, key)) => {
            let text = read(key)?;
            let shown = PrivateKeyDer::from_pem_slice(&text).map_err(|_| format!("{}: no key in it", key.display()))?;
            config.with_client_auth_cert(chain(cert)?, shown).map_err(|e| format!("{}: {e}", cert.display()))?
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Whose certificates are taken: those of this file alone, else those that the system takes.
fn trusted(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(roots)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    if chain.is_empty() { Err(format!("{}: there is no certificate in it", path.display())) } else { Ok(chain) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// An error with what is behind it.
fn said(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
