//! A client that speaks TLS, and HTTP/1.1 or just enough of HTTP/2 over it.

use std::{net::SocketAddr, sync::Arc};

use backchat_contract::Certificate;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::web::LONG;

/// The chain that a server showed.
pub(crate) struct Shown(pub(crate) Vec<CertificateDer<'static>>);

/// What is shown to one who names this host; `None` where nobody listens.
pub(crate) async fn shown(to: SocketAddr, sni: &str) -> Option<Shown> {
    let stream = connect(to, sni, anybody(&[b"http/1.1"])).await.ok()?;
    stream.get_ref().1.peer_certificates().map(|chain| Shown(chain.to_vec()))
}

/// A request by a client that trusts this certificate alone.
pub(crate) async fn get(to: SocketAddr, host: &str, path: &str, trusted: &Certificate) -> (u16, String) {
    exchange(connect(to, host, trusting(trusted, &[b"http/1.1"])).await.unwrap(), host, path).await
}

/// A request by one who trusts anybody, as `curl -k` does; status 0 where there is no answer.
pub(crate) async fn ask(to: SocketAddr, host: &str, path: &str) -> (u16, String) {
    match connect(to, host, anybody(&[b"http/1.1"])).await {
        Ok(stream) => exchange(stream, host, path).await,
        Err(error) => (0, error.to_string()),
    }
}

/// The body of the answer to a GET of `/` over HTTP/2, which the server must choose (RFC 9113).
pub(crate) async fn get_h2(to: SocketAddr, host: &str, trusted: &Certificate) -> String {
    let mut stream = connect(to, host, trusting(trusted, &[b"h2", b"http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend(frame(4, 0, 0, &[]));
    // GET, https and / out of HPACK's static table, and the authority (RFC 7541, A).
    let mut head = vec![0x82, 0x87, 0x84, 0x41, u8::try_from(host.len()).unwrap()];
    head.extend(host.as_bytes());
    request.extend(frame(1, 0x5, 1, &head));
    stream.write_all(&request).await.unwrap();
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        timeout(LONG, stream.read_exact(&mut head)).await.expect("a frame in time").unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        timeout(LONG, stream.read_exact(&mut payload)).await.expect("the frame in time").unwrap();
        let (kind, flags, of) = (head[3], head[4], head[8]);
        match kind {
            0 if of == 1 => body.extend(payload),
            // The server's settings are to be acknowledged.
            4 if flags & 1 == 0 => stream.write_all(&frame(4, 1, 0, &[])).await.unwrap(),
            3 | 7 => panic!("the server ends it: {payload:?}"),
            _ => {}
        }
        if of == 1 && kind <= 1 && flags & 1 == 1 {
            return String::from_utf8(body).unwrap();
        }
    }
}

/// A connection that both sides have agreed to speak HTTP/2 on.
pub(crate) async fn speaking_h2(to: SocketAddr, host: &str, trusted: &Certificate) -> TlsStream<TcpStream> {
    let stream = connect(to, host, trusting(trusted, &[b"h2"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    stream
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend(payload);
    frame
}

/// All of an answer's head.
pub(crate) async fn head(to: SocketAddr, host: &str) -> String {
    let stream = connect(to, host, anybody(&[b"http/1.1"])).await.unwrap();
    let answer = answer(stream, host, "/").await.unwrap();
    answer.split_once("\r\n\r\n").map_or(String::new(), |(head, _)| head.to_owned())
}

async fn exchange(stream: TlsStream<TcpStream>, host: &str, path: &str) -> (u16, String) {
    let answer = match answer(stream, host, path).await {
        Ok(answer) => answer,
        Err(error) => return (0, error.to_string()),
    };
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

async fn answer(mut stream: TlsStream<TcpStream>, host: &str, path: &str) -> std::io::Result<String> {
    let exchange = async {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            // Some close without a goodbye.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            other => drop(other?),
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(LONG, exchange).await.expect("an answer in time")
}

async fn connect(to: SocketAddr, sni: &str, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    let greeting = async {
        let stream = TcpStream::connect(to).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    timeout(LONG, greeting).await.expect("a greeting in time")
}

fn config() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

pub(crate) fn trusting(trusted: &Certificate, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let text = trusted.pem.as_ref().unwrap().secret();
    roots.add(CertificateDer::from_pem_slice(text.as_bytes()).unwrap()).unwrap();
    speaking(config().with_root_certificates(roots).with_no_client_auth(), protocols)
}

fn anybody(protocols: &[&[u8]]) -> ClientConfig {
    let verifier = Arc::new(Anybody(ring::default_provider()));
    let config = config().dangerous().with_custom_certificate_verifier(verifier);
    speaking(config.with_no_client_auth(), protocols)
}

fn speaking(mut config: ClientConfig, protocols: &[&[u8]]) -> ClientConfig {
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// Takes every certificate: what was shown is looked at afterwards.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
