//! The end that is called: takes streams, a bounded number of them, and answers what is asked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    client::{presence, read},
    message::{DrainAsk, OrderAsk, Question, Reply},
    session::{STEP, Session, Speaker, SyncError},
};
use crate::cluster::{
    DrainOrder, DrainQuestion, Wanted,
    counters::Counters,
    exchange::MAX_EXCHANGE,
    identity::Identity,
    mailbox::{Command, Mailbox},
    orders,
    wire::Rejected,
};

/// Streams that have not shown a key, at one time. More are closed at once: a flood must not keep the
/// cluster's own from being taken.
const STRANGERS: usize = 128;
/// Streams that have, at one time.
const SESSIONS: usize = 1024;
/// What their bodies may hold together, in bytes, while they come in and are taken in.
const BODIES: usize = 16 * MAX_EXCHANGE;
/// The same without a key, where every stranger gets that far.
const OPEN_SESSIONS: usize = 128;
const OPEN_BODIES: usize = MAX_EXCHANGE;
/// How long an agent may ask to wait for its drain.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

/// Takes streams until it is dropped.
pub(in crate::cluster) struct Server {
    pub(in crate::cluster) listener: TcpListener,
    pub(in crate::cluster) desk: Desk,
}

/// What it takes to answer one stream.
#[derive(Clone)]
pub(in crate::cluster) struct Desk {
    pub(in crate::cluster) speaker: watch::Receiver<Speaker>,
    pub(in crate::cluster) mailbox: Mailbox,
    /// Whom to ask what only the rest of the program knows.
    pub(in crate::cluster) asked: Asked,
    pub(in crate::cluster) counters: Arc<Counters>,
    /// Room for those that have shown a key.
    pub(in crate::cluster) sessions: Arc<Semaphore>,
    /// Room for what they tell, in bytes.
    pub(in crate::cluster) bodies: Arc<Semaphore>,
}

/// Where questions go that the cluster cannot answer itself.
#[derive(Clone)]
pub(in crate::cluster) struct Asked {
    /// About drains; agents answer none.
    pub(in crate::cluster) drains: Option<mpsc::Sender<DrainQuestion>>,
    /// Orders of operators; balancers take none.
    pub(in crate::cluster) orders: Option<mpsc::Sender<DrainOrder>>,
}

impl Desk {
    pub(in crate::cluster) fn new(
        speaker: watch::Receiver<Speaker>,
        mailbox: Mailbox,
        asked: Asked,
        counters: Arc<Counters>,
    ) -> Self {
        let keyed = speaker.borrow().envelope.keys().is_some();
        let (sessions, bodies) = if keyed { (SESSIONS, BODIES) } else { (OPEN_SESSIONS, OPEN_BODIES) };
        let (sessions, bodies) = (Arc::new(Semaphore::new(sessions)), Arc::new(Semaphore::new(bodies)));
        Self { speaker, mailbox, asked, counters, sessions, bodies }
    }
}

impl Server {
    /// Serves for ever; every stream ends with this future.
    pub(in crate::cluster) async fn run(self) {
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        let mut streams = JoinSet::new();
        loop {
            // Both arms are cancel-safe: a connection not accepted stays in the queue, a task not joined in the set.
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        // No room: the stream is dropped, which closes it.
                        let Ok(place) = Arc::clone(&strangers).try_acquire_owned() else { continue };
                        streams.spawn(self.desk.clone().serve(stream, from, place));
                    }
                    // Out of file descriptors, most likely: some are given back soon.
                    Err(error) => {
                        tracing::warn!(%error, "cannot take a connection");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = streams.join_next() => {}
            }
        }
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

impl Desk {
    async fn serve(self, stream: TcpStream, from: SocketAddr, place: Place) {
        match self.greet_and_answer(stream, place).await {
            Ok(()) => self.counters.exchanged(true),
            // Somebody only wanted to know whether we listen.
            Err(SyncError::Closed) => {}
            Err(error) => {
                if let SyncError::Rejected(why) = &error {
                    self.counters.rejected(*why);
                }
                self.counters.exchanged(false);
                tracing::debug!(%from, "the caller {error}");
            }
        }
    }

    async fn greet_and_answer(&self, stream: TcpStream, place: Place) -> Result<(), SyncError> {
        let speaker = self.speaker.borrow().clone();
        let mut session = Session::answer(speaker, stream).await?;
        let Ok(_session) = self.sessions.try_acquire() else { return Err(SyncError::Busy) };
        drop(place);
        match Question::from_bytes(&session.receive(STEP).await?)? {
            Question::Presence => session.send(&Reply::Here.to_bytes()).await,
            Question::Exchange { joining } => self.exchange(&mut session, joining).await,
            Question::Drained(ask) => self.drained(&mut session, ask).await,
            Question::Order(ask) => self.order(&mut session, ask).await,
            Question::Everything => {
                let all = self.mailbox.ask(Command::Everything).await?;
                session.send_body(&all.encode()).await
            }
        }
    }

    async fn exchange(&self, session: &mut Session, joining: bool) -> Result<(), SyncError> {
        let caller = session.hello.from.clone();
        let known = self.mailbox.ask(|answer| Command::Known(caller.clone(), answer)).await?;
        let other =
            known.as_ref().filter(|known| joining && known.identity.is_rival(&caller) && known.liveness.lives());
        if let Some(other) = other
            && self.is_held(&other.identity).await
        {
            tracing::warn!("{caller} wants the name of {}, which answers: refused", other.identity);
            return session.send(&Reply::Held(other.identity.clone()).to_bytes()).await;
        }
        let known = known.filter(|known| known.identity != caller).map(|known| known.identity.epoch());
        session.send(&Reply::Welcome { known }.to_bytes()).await?;
        let opening = session.receive_body(MAX_EXCHANGE, Some(&self.bodies)).await?;
        let told = read(&opening.bytes)?;
        let answer = self.mailbox.ask(|reply| Command::Opening(told, reply)).await?;
        drop(opening);
        session.send_body(&answer.encode()).await?;
        let remainder = session.receive_body(MAX_EXCHANGE, Some(&self.bodies)).await?;
        self.mailbox.send(Command::Remainder(read(&remainder.bytes)?)).await?;
        session.send(&Reply::Here.to_bytes()).await
    }

    /// Whether the holder of a name still answers at its address.
    async fn is_held(&self, holder: &Identity) -> bool {
        let speaker = self.speaker.borrow().clone();
        if speaker.hello.from.name() == holder.name() {
            return true;
        }
        match presence(speaker, holder.addr(), holder.name()).await {
            Ok(()) => true,
            Err(error) => {
                tracing::info!("{holder} {error}: its name is free");
                false
            }
        }
    }

    /// Waits for the data plane's word. The asker waits as long as nobody has an answer for it.
    async fn drained(&self, session: &mut Session, ask: DrainAsk) -> Result<(), SyncError> {
        let drains = self.asked.drains.as_ref().ok_or(Rejected::Malformed)?;
        let node = ask.node.parse().map_err(|_| Rejected::Malformed)?;
        let limit = Duration::from_millis(ask.wait_ms).min(LONGEST_DRAIN);
        let (answer, answered) = oneshot::channel();
        let (epoch, version, serves) = (ask.epoch, ask.version, ask.serves.unwrap_or_default());
        let question = DrainQuestion { node, epoch, version, serves, answer };
        let wait = async {
            drains.send(question).await.map_err(|_| SyncError::Stopping)?;
            answered.await.map_err(|_| SyncError::Stopping)
        };
        // Dropping either future is harmless: a question whose asker is gone is answered into the void.
        let drained = tokio::select! {
            drained = timeout(limit, wait) => drained.unwrap_or(Ok(false))?,
            () = session.gone() => return Err(SyncError::Closed),
        };
        session.send(&Reply::Drained(drained).to_bytes()).await
    }

    /// Hands an operator's order to this node's agent, and on its answer.
    async fn order(&self, session: &mut Session, ask: OrderAsk) -> Result<(), SyncError> {
        let told = async {
            let wanted = match Wanted::read(ask) {
                Ok(wanted) => wanted,
                Err(why) => return Ok(Err(why)),
            };
            // The agent keeps to the order's own wait; more than that means that nobody takes orders.
            let limit = wanted.wait + STEP;
            let told = timeout(limit, orders::give(self.asked.orders.as_ref(), wanted)).await;
            told.map_err(|_| SyncError::Deadline(limit))?.ok_or(SyncError::Stopping)
        };
        // Dropping the wait is harmless: the order is given or it is not, and given again it changes nothing.
        let told = tokio::select! {
            told = told => told?,
            () = session.gone() => return Err(SyncError::Closed),
        };
        session.send(&Reply::Order(told.into()).to_bytes()).await
    }
}
