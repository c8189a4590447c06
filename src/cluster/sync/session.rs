//! A TCP stream of sealed frames. It must not know what the frames say.
//!
//! The end that opens the stream speaks first, so that a stranger is told nothing. Both say a random
//! number in their first frame, and every later frame is sealed together with both: a recorded stream is
//! of no use, neither to the same node nor after a restart. The first frame alone can be played again;
//! it changes nothing, and is answered by one that its recorder cannot open.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use minicbor::bytes::ByteArray;
use tokio::{
    net::TcpStream,
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::message::Hello;
use crate::cluster::{
    error::words,
    identity::Identity,
    mailbox::Gone,
    wire::{Context, Envelope, Header, OVERHEAD, Rejected},
};

/// The largest frame, in bytes, envelope included.
pub(in crate::cluster) const MAX_FRAME: usize = 256 * 1024;
/// How much of a body one frame carries.
const CHUNK: usize = MAX_FRAME - 1 - OVERHEAD;
/// The largest frame of somebody who has not yet shown a key.
const MAX_HELLO: usize = 1024;
/// How long one frame may take, and a connect.
pub(in crate::cluster) const STEP: Duration = Duration::from_secs(3);

/// Why a stream came to nothing. Reads behind an address: `10.0.0.2:7946 …`.
#[derive(Debug, thiserror::Error)]
pub(in crate::cluster) enum SyncError {
    /// Nobody took the connection.
    #[error("did not take the connection: {}", words(.0))]
    Connect(io::Error),
    /// The stream broke.
    #[error("broke off: {}", words(.0))]
    Io(io::Error),
    /// The other end closed before it said who it is.
    #[error("accepted, then closed: usually another key or --cluster{0}")]
    ClosedAtHello(String),
    /// The other end closed in the middle.
    #[error("closed in the middle")]
    Closed,
    /// Nothing came in time.
    #[error("said nothing within {0:?}")]
    Deadline(Duration),
    /// A frame could not be opened, or made no sense.
    #[error("sent a frame that is {0}")]
    Rejected(#[from] Rejected),
    /// The other end speaks, and is not who was meant.
    #[error("is {found}, not {meant}")]
    SomebodyElse {
        /// Who answered.
        found: String,
        /// Who was looked for.
        meant: String,
    },
    /// Our name is another's, and that one answers.
    #[error("says that our name is held by {0}")]
    NameHeld(Identity),
    /// Too many streams are open.
    #[error("came while too many others were here")]
    Busy,
    /// The cluster task has ended.
    #[error("came while this node stops")]
    Stopping,
}

impl From<Gone> for SyncError {
    fn from(Gone: Gone) -> Self {
        Self::Stopping
    }
}

/// What this node needs to speak to others.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct Speaker {
    pub(in crate::cluster) envelope: Arc<Envelope>,
    pub(in crate::cluster) sender: u64,
    pub(in crate::cluster) boot: u64,
    /// Who this node says it is; the random number is filled in for each stream.
    pub(in crate::cluster) hello: Hello,
}

/// An open stream, both ends known to each other.
#[derive(Debug)]
pub(in crate::cluster) struct Session {
    stream: Framed<TcpStream, LengthDelimitedCodec>,
    speaker: Speaker,
    caller: bool,
    /// Both random numbers, the caller's first.
    numbers: Vec<u8>,
    sent: u64,
    received: u64,
    /// The other end's id and life, which every frame of its must repeat.
    peer: Option<(u64, u64)>,
    /// Who the other end says it is.
    pub(in crate::cluster) hello: Hello,
}

/// What came in several frames, and its place in the room that all bodies share.
#[derive(Debug)]
pub(in crate::cluster) struct Body<'r> {
    pub(in crate::cluster) bytes: Vec<u8>,
    places: Vec<SemaphorePermit<'r>>,
}

impl Session {
    /// Opens a stream to an address.
    pub(in crate::cluster) async fn call(speaker: Speaker, to: SocketAddr) -> Result<Self, SyncError> {
        let until = Instant::now() + STEP;
        let connect = timeout_at(until, TcpStream::connect(to)).await;
        let stream = connect.map_err(|_| SyncError::Deadline(STEP))?.map_err(SyncError::Connect)?;
        let mut session = Self::new(speaker, stream, true);
        let mine = session.say_hello(until).await?;
        session.numbers.extend_from_slice(&mine);
        let hello = session.hear_hello(until).await.map_err(|error| session.at_hello(error))?;
        session.begin(hello);
        Ok(session)
    }

    /// Takes a stream that somebody opened. Says nothing before the other end has shown a key.
    pub(in crate::cluster) async fn answer(speaker: Speaker, stream: TcpStream) -> Result<Self, SyncError> {
        let until = Instant::now() + STEP;
        let mut session = Self::new(speaker, stream, false);
        let hello = session.hear_hello(until).await?;
        session.numbers.extend_from_slice(&*hello.number);
        let mine = session.say_hello(until).await?;
        session.numbers.extend_from_slice(&mine);
        session.hello = hello;
        session.greeted();
        Ok(session)
    }

    fn new(speaker: Speaker, stream: TcpStream, caller: bool) -> Self {
        // Frames are small and each is waited for; where the option cannot be set they only come later.
        let _ = stream.set_nodelay(true);
        let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_HELLO).new_codec();
        let hello = speaker.hello.clone();
        let stream = Framed::new(stream, codec);
        Self { stream, speaker, caller, numbers: Vec::new(), sent: 0, received: 0, peer: None, hello }
    }

    async fn say_hello(&mut self, until: Instant) -> Result<[u8; 16], SyncError> {
        let number: [u8; 16] = rand::random();
        let hello = Hello { number: ByteArray::from(number), ..self.speaker.hello.clone() };
        self.send_until(&hello.to_bytes(), until).await?;
        Ok(number)
    }

    async fn hear_hello(&mut self, until: Instant) -> Result<Hello, SyncError> {
        let payload = self.receive_until(until, STEP).await?;
        Ok(Hello::from_bytes(&payload)?)
    }

    fn begin(&mut self, hello: Hello) {
        self.numbers.extend_from_slice(&*hello.number);
        self.hello = hello;
        self.greeted();
    }

    /// From here on the other end has shown a key and may say more.
    fn greeted(&mut self) {
        self.stream.codec_mut().set_max_frame_length(MAX_FRAME);
    }

    /// What the other end's silence at the first frame usually means.
    fn at_hello(&self, error: SyncError) -> SyncError {
        let closed = match &error {
            SyncError::Closed => true,
            SyncError::Io(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
            }
            _ => false,
        };
        if !closed {
            return error;
        }
        let keys = self.speaker.envelope.keys();
        let ours = keys
            .map_or(" (we have none)".to_owned(), |keys| format!(" (ours {})", keys.primary().fingerprint().short()));
        SyncError::ClosedAtHello(ours)
    }

    /// Sends one frame.
    pub(in crate::cluster) async fn send(&mut self, payload: &[u8]) -> Result<(), SyncError> {
        self.send_until(payload, Instant::now() + STEP).await
    }

    /// Waits for one frame, this long.
    pub(in crate::cluster) async fn receive(&mut self, limit: Duration) -> Result<Vec<u8>, SyncError> {
        self.receive_until(Instant::now() + limit, limit).await
    }

    /// Sends a body of any size, in as many frames as it takes.
    pub(in crate::cluster) async fn send_body(&mut self, body: &[u8]) -> Result<(), SyncError> {
        let mut rest = body;
        loop {
            let (chunk, after) = rest.split_at_checked(CHUNK).unwrap_or((rest, &[]));
            self.send(&[&[u8::from(!after.is_empty())], chunk].concat()).await?;
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Waits for a body of at most this many bytes; each frame of it may take a [`STEP`]. Where all bodies
    /// share a `room`, it takes its place there as it comes in.
    pub(in crate::cluster) async fn receive_body<'r>(
        &mut self,
        max: usize,
        room: Option<&'r Semaphore>,
    ) -> Result<Body<'r>, SyncError> {
        let mut body = Body { bytes: Vec::new(), places: Vec::new() };
        loop {
            let frame = self.receive(STEP).await?;
            let (more, chunk) = frame.split_first().ok_or(Rejected::Malformed)?;
            if body.bytes.len() + chunk.len() > max {
                return Err(Rejected::Malformed.into());
            }
            if let Some(room) = room {
                let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                body.places.push(room.try_acquire_many(bytes).map_err(|_| SyncError::Busy)?);
            }
            body.bytes.extend_from_slice(chunk);
            if *more == 0 {
                return Ok(body);
            }
        }
    }

    /// Resolves when the other end is gone or, against the protocol, speaks out of turn.
    pub(in crate::cluster) async fn gone(&mut self) {
        // Whatever comes here ends the wait alike.
        let _ = self.stream.next().await;
    }

    async fn send_until(&mut self, payload: &[u8], until: Instant) -> Result<(), SyncError> {
        let header = Header { sender: self.speaker.sender, boot: self.speaker.boot, counter: self.sent };
        self.sent += 1;
        let context = self.context(self.caller);
        let frame = self.speaker.envelope.seal(header, context, &rand::random(), payload);
        let sent = timeout_at(until, self.stream.send(Bytes::from(frame))).await;
        sent.map_err(|_| SyncError::Deadline(STEP))?.map_err(SyncError::Io)
    }

    async fn receive_until(&mut self, until: Instant, limit: Duration) -> Result<Vec<u8>, SyncError> {
        let next = timeout_at(until, self.stream.next()).await.map_err(|_| SyncError::Deadline(limit))?;
        let frame = next.ok_or(SyncError::Closed)?.map_err(SyncError::Io)?;
        let (header, payload) = self.speaker.envelope.open(self.context(!self.caller), &frame)?;
        self.in_order(header)?;
        Ok(payload)
    }

    /// Frames are numbered, and come from one life of one sender.
    fn in_order(&mut self, header: Header) -> Result<(), Rejected> {
        // A caller that reached itself is told so by its own answer, and no stranger can bring that about.
        if self.caller && header.sender == self.speaker.sender {
            return Err(Rejected::Own);
        }
        let peer = *self.peer.get_or_insert((header.sender, header.boot));
        if header.counter != self.received || peer != (header.sender, header.boot) {
            return Err(Rejected::Replay);
        }
        self.received += 1;
        Ok(())
    }

    fn context(&self, from_caller: bool) -> Context<'_> {
        if from_caller { Context::Caller(&self.numbers) } else { Context::Answer(&self.numbers) }
    }
}

/// A member of a version before: it greets, and ends the stream at a question that it does not know.
#[cfg(test)]
pub(in crate::cluster) async fn answered_and_closed(speaker: Speaker, stream: TcpStream) {
    let mut session = Session::answer(speaker, stream).await.expect("the caller greets");
    session.receive(STEP).await.expect("a question");
}

#[cfg(test)]
mod tests;
