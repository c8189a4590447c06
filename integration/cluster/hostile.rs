//! A peer that speaks the protocol and says what no node of ours would: records that are none.

use std::net::SocketAddr;

use backchat::cluster::{
    exchange::Exchange,
    identity::Identity,
    message::{Message, Push},
    wire::{Context, Envelope, Header},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Says hello; asks for an exchange, not joining.
const HELLO: u8 = 1;
const EXCHANGE: [u8; 4] = [2, 0xa1, 0, 0xf4];

/// An open stream without a key, the caller's end.
struct Stream {
    frames: Framed<TcpStream, LengthDelimitedCodec>,
    sent: u64,
    sender: u64,
}

/// Tells a node these records in the name of `from`, over TCP.
pub(crate) async fn tell(to: SocketAddr, from: &Identity, records: Vec<Bytes>) {
    let stream = TcpStream::connect(to).await.unwrap();
    let codec = LengthDelimitedCodec::builder().max_frame_length(1 << 20).new_codec();
    let mut stream = Stream { frames: Framed::new(stream, codec), sent: 0, sender: rand::random() };
    // {0: who, 1: a random number}
    let who = minicbor::to_vec(from).unwrap();
    stream.say(&[&[HELLO, 0xa2, 0][..], &who, &[1, 0x50], &[7; 16]].concat()).await;
    stream.hear().await;
    stream.say(&EXCHANGE).await;
    stream.hear().await;
    let told = Exchange {
        from: from.clone(),
        members: Vec::new(),
        ages: std::collections::BTreeMap::new(),
        records,
        complete: false,
    };
    for body in [&told, &Exchange { records: Vec::new(), ..told.clone() }] {
        stream.say(&[&[0][..], &body.encode()].concat()).await;
        stream.hear().await;
    }
}

/// Pushes a record in the name of `from`, over UDP, from this address.
pub(crate) async fn push(source: &str, to: SocketAddr, from: &Identity, record: &[u8]) {
    let socket = UdpSocket::bind(source).await.unwrap();
    let payload = Message::Push(Push { from: from.clone(), record: record.into() }).encode();
    let header = Header { sender: rand::random(), boot: 1, counter: 0 };
    socket.send_to(&envelope().seal(header, Context::Datagram, &[0; 24], &payload), to).await.unwrap();
}

fn envelope() -> Envelope {
    Envelope::new(&"default".parse().unwrap(), None)
}

impl Stream {
    async fn say(&mut self, payload: &[u8]) {
        let header = Header { sender: self.sender, boot: 1, counter: self.sent };
        self.sent += 1;
        // Without a key nothing is bound to the session.
        let frame = envelope().seal(header, Context::Caller(&[]), &[0; 24], payload);
        self.frames.send(Bytes::from(frame)).await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        let frame = self.frames.next().await.expect("it closed").unwrap();
        envelope().open(Context::Answer(&[]), &frame).unwrap().1
    }
}
