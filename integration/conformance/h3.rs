//! Just enough of HTTP/3 over QUIC for one request (RFC 9114).

use std::{net::SocketAddr, sync::Arc};

use backchat_contract::Certificate;
use quinn::{ClientConfig, Endpoint, crypto::rustls::QuicClientConfig};
use tokio::time::timeout;

use super::{client, web::LONG};

/// The body of the answer to a GET of `/`.
pub(crate) async fn get(to: SocketAddr, host: &str, trusted: &Certificate) -> String {
    let config = QuicClientConfig::try_from(client::trusting(trusted, &[b"h3"])).unwrap();
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(config)));
    let exchange = async {
        let connection = endpoint.connect(to, host).unwrap().await.unwrap();
        // A control stream, with settings of which none is set.
        let mut control = connection.open_uni().await.unwrap();
        control.write_all(&[0, 4, 0]).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        // GET (17), https (23) and / (1) out of QPACK's static table, and the authority (RFC 9204, A).
        let mut head = vec![0, 0, 0xd1, 0xd7, 0xc1, 0x50, u8::try_from(host.len()).unwrap()];
        head.extend(host.as_bytes());
        let mut frame = vec![1, u8::try_from(head.len()).unwrap()];
        frame.extend(head);
        send.write_all(&frame).await.unwrap();
        send.finish().unwrap();
        receive.read_to_end(1 << 16).await.unwrap()
    };
    body(&timeout(LONG, exchange).await.expect("an answer in time"))
}

/// What the frames of data hold.
fn body(mut frames: &[u8]) -> String {
    let mut body = Vec::new();
    while !frames.is_empty() {
        let (kind, rest) = number(frames);
        let (length, rest) = number(rest);
        let (payload, rest) = rest.split_at(usize::try_from(length).unwrap());
        if kind == 0 {
            body.extend(payload);
        }
        frames = rest;
    }
    String::from_utf8(body).unwrap()
}

/// A number of one, two, four or eight bytes (RFC 9000, 16).
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let (number, rest) = bytes.split_at(1 << (bytes[0] >> 6));
    let first = u64::from(number[0] & 0x3f);
    (number[1..].iter().fold(first, |all, byte| all << 8 | u64::from(*byte)), rest)
}
