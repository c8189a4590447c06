//! The end that opens a stream: exchanges, and questions to one node.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{
    message::{DrainAsk, OrderAsk, OrderBody, Question, Reply},
    session::{STEP, Session, Speaker, SyncError},
};
use crate::{
    cluster::{
        exchange::{Exchange, MAX_EXCHANGE},
        identity::Identity,
        mailbox::{Command, Mailbox},
        node::Outcome,
        wire::Rejected,
    },
    model::NodeName,
};

/// How long the one who holds a name may take to show that it does.
const PRESENCE: Duration = Duration::from_secs(1);
/// How long a joiner waits for its welcome: its name's holder may have to be asked first.
const WELCOME: Duration = Duration::from_secs(5);

/// Exchanges everything with the node at an address; says who that is.
pub(in crate::cluster) async fn exchange(
    speaker: Speaker,
    to: SocketAddr,
    joining: bool,
    mailbox: &Mailbox,
) -> Result<Identity, SyncError> {
    let mine = speaker.hello.from.epoch();
    let mut session = Session::call(speaker, to).await?;
    session.send(&Question::Exchange { joining }.to_bytes()).await?;
    match Reply::from_bytes(&session.receive(WELCOME).await?)? {
        Reply::Welcome { known: Some(known) } if joining && known >= mine => {
            mailbox.ask(|answer| Command::Outlive(known, answer)).await?;
        }
        Reply::Welcome { .. } => {}
        Reply::Held(holder) => return Err(SyncError::NameHeld(holder)),
        _ => return Err(Rejected::Malformed.into()),
    }
    let opening = mailbox.ask(Command::Open).await?;
    session.send_body(&opening.encode()).await?;
    let answer = read(&session.receive_body(MAX_EXCHANGE, None).await?.bytes)?;
    let remainder = mailbox.ask(|reply| Command::Answer(answer, reply)).await?;
    session.send_body(&remainder.encode()).await?;
    // The other end says when it has taken it: a stream that breaks before that did not succeed.
    match Reply::from_bytes(&session.receive(STEP).await?)? {
        Reply::Here => Ok(session.hello.from),
        _ => Err(Rejected::Malformed.into()),
    }
}

/// Has the node at an address tell all that it knows, and tells it nothing.
pub(in crate::cluster) async fn everything(speaker: Speaker, to: SocketAddr) -> Result<Exchange, SyncError> {
    let mut session = Session::call(speaker, to).await?;
    session.send(&Question::Everything.to_bytes()).await?;
    Ok(read(&session.receive_body(MAX_EXCHANGE, None).await?.bytes)?)
}

pub(super) fn read(body: &[u8]) -> Result<Exchange, Rejected> {
    Exchange::decode(body).map_err(|_| Rejected::Malformed)
}

/// Asks at an address whether the node of this name is there.
pub(in crate::cluster) async fn presence(speaker: Speaker, to: SocketAddr, name: &NodeName) -> Result<(), SyncError> {
    let ask = async {
        let mut session = Session::call(speaker, to).await?;
        let found = session.hello.from.name();
        if found != name {
            return Err(SyncError::SomebodyElse { found: found.to_string(), meant: name.to_string() });
        }
        session.send(&Question::Presence.to_bytes()).await?;
        match Reply::from_bytes(&session.receive(PRESENCE).await?)? {
            Reply::Here => Ok(()),
            _ => Err(Rejected::Malformed.into()),
        }
    };
    timeout(PRESENCE, ask).await.unwrap_or(Err(SyncError::Deadline(PRESENCE)))
}

/// A stream to one node and no other.
async fn call(speaker: Speaker, to: &Identity) -> Result<Session, SyncError> {
    let session = Session::call(speaker, to.addr()).await?;
    let found = session.hello.from.name();
    if found != to.name() {
        return Err(SyncError::SomebodyElse { found: found.to_string(), meant: to.name().to_string() });
    }
    Ok(session)
}

/// Hands a node an operator's order, and waits for what came of it.
pub(in crate::cluster) async fn order(speaker: Speaker, to: &Identity, ask: OrderAsk) -> Result<OrderBody, SyncError> {
    let limit = Duration::from_millis(ask.wait_ms).saturating_add(2 * STEP);
    let mut session = call(speaker, to).await?;
    session.send(&Question::Order(ask).to_bytes()).await?;
    match Reply::from_bytes(&session.receive(limit).await?)? {
        Reply::Order(body) => Ok(body),
        _ => Err(Rejected::Malformed.into()),
    }
}

/// Asks a balancer to say when it has drained a node; `false` when it gave up first.
pub(in crate::cluster) async fn drained(
    speaker: Speaker,
    balancer: &Identity,
    ask: DrainAsk,
) -> Result<bool, SyncError> {
    let limit = Duration::from_millis(ask.wait_ms).saturating_add(STEP);
    let mut session = call(speaker, balancer).await?;
    session.send(&Question::Drained(ask).to_bytes()).await?;
    match Reply::from_bytes(&session.receive(limit).await?)? {
        Reply::Drained(drained) => Ok(drained),
        _ => Err(Rejected::Malformed.into()),
    }
}

/// Connects and closes: whether somebody listens there.
pub(in crate::cluster) async fn knock(at: SocketAddr, within: Duration) -> Outcome {
    match timeout(within, TcpStream::connect(at)).await {
        Ok(Ok(_)) => Outcome::Connected,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Outcome::Refused,
        // A reset is an answer of the host itself, of a listener whose queue was cut off.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => Outcome::Connected,
        Ok(Err(_)) | Err(_) => Outcome::Silent,
    }
}
