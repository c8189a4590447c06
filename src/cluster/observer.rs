//! Who is there, as one learns it who is no member: members are asked over TCP for all that they know. No socket is
//! bound, no name is taken, nothing is kept or told, and the cluster never hears of it. For a dry run.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    JoinAddr, Settings,
    exchange::Exchange,
    identity::Identity,
    join,
    node::Onlooker,
    sync::{self, Hello, Speaker, SyncError},
    wire::Envelope,
};
use crate::model::{Kind, Liveness, Member, Moment, NodeName, RawRecord, Snapshot, Verdict};

/// Members that are asked where no join address answers: more would make one look last too long.
const OTHERS: usize = 4;
/// Those in doubt that are knocked at in one look, and at one time.
const DOUBTFUL: usize = 1024;
const KNOCKS: usize = 64;

/// Looks at a cluster from outside.
#[derive(Debug)]
pub struct Observer {
    /// The balancer that would join, were this no dry run.
    node: NodeName,
    joins: Vec<JoinAddr>,
    speaker: Speaker,
    /// How long one in doubt may take to answer.
    question: Duration,
    started: Instant,
    onlooker: Onlooker,
    /// Who answered last: the word of one is steadier than that of several in turn.
    informant: Option<SocketAddr>,
}

/// Nobody could be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot learn who is there: {0}")]
pub struct Unheard(String);

impl Observer {
    /// An observer of the cluster that a node of these settings would join. `started` is the origin of its moments.
    pub fn new(settings: Settings, started: Instant) -> Self {
        // Said in the stream's greeting, where it is nobody's address; the number must be no member's.
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let from = Identity::new(settings.node.clone(), 0, nowhere);
        let speaker = Speaker {
            envelope: Arc::new(Envelope::new(&settings.label, settings.keyring)),
            sender: rand::random(),
            boot: 0,
            hello: Hello { from, number: [0; 16].into() },
        };
        Self {
            node: settings.node,
            joins: settings.join,
            speaker,
            question: settings.profile.question,
            started,
            onlooker: Onlooker::default(),
            informant: None,
        }
    }

    /// What is known before the first look: nothing.
    pub fn before(&self) -> Snapshot {
        Snapshot { source: "gossip".into(), synced: false, ..Snapshot::default() }
    }

    /// Asks a member for everything, and those in doubt whether they live. What a balancer would know that joined now.
    ///
    /// # Errors
    /// No join address, and no member that one told of before, can be asked. It says why.
    pub async fn look(&mut self) -> Result<Snapshot, Unheard> {
        let told = self.told().await?;
        self.onlooker.hear(&told, self.now());
        self.knock().await;
        let mut members = self.onlooker.members();
        // Its own name, where the cluster does not have it: a balancer counts itself among those that live.
        if members.get(&self.node).is_none_or(|holder| !holder.lives()) {
            members.insert(self.node.clone(), me(&self.node));
        }
        Ok(Snapshot { synced: true, members, ..self.before() })
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// All that some member knows: who answered last, a join address, or another that lives.
    async fn told(&mut self) -> Result<Exchange, Unheard> {
        if let Some(place) = self.informant.take()
            && let Ok(told) = self.ask(place).await
        {
            return Ok(told);
        }
        let mut whys = Vec::new();
        for addr in self.joins.clone() {
            let places = addr.resolve().await.unwrap_or_else(|error| {
                whys.push(join::cannot_look_up(&addr, &error));
                Vec::new()
            });
            for place in places {
                match self.ask(place).await {
                    Ok(told) => return Ok(told),
                    Err(error) => whys.push(format!("{addr} ({}) {}", place.ip(), words(&error))),
                }
            }
        }
        for place in self.onlooker.living().take(OTHERS).collect::<Vec<_>>() {
            if let Ok(told) = self.ask(place).await {
                return Ok(told);
            }
        }
        Err(Unheard(whys.join("; ")))
    }

    async fn ask(&mut self, place: SocketAddr) -> Result<Exchange, SyncError> {
        let told = sync::everything(self.speaker.clone(), place).await?;
        self.informant = Some(place);
        Ok(told)
    }

    /// Connects to those in doubt, as a balancer does.
    async fn knock(&mut self) {
        let limit = self.question;
        let asks = self.onlooker.doubtful().into_iter().take(DOUBTFUL).map(|who| async move {
            let outcome = sync::knock(who.addr(), limit).await;
            (who, outcome)
        });
        let outcomes: Vec<_> = stream::iter(asks).buffer_unordered(KNOCKS).collect().await;
        for (who, outcome) in outcomes {
            self.onlooker.asked(&who, outcome);
        }
    }
}

/// A question that a version does not know ends the stream.
fn words(error: &SyncError) -> String {
    match error {
        SyncError::Closed | SyncError::Io(_) => {
            format!("{error}: usually a version of backchat that tells members alone; name a newer one by --join")
        }
        _ => error.to_string(),
    }
}

/// The balancer that this would be.
fn me(node: &NodeName) -> Member {
    Member {
        name: node.clone(),
        epoch: 0,
        addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Moment::ZERO,
        record: Some(RawRecord { node: node.to_string(), kind: Kind::Balancer, ..RawRecord::default() }),
        refused: None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::{Profile, sync::answered_and_closed};

    fn observer(at: SocketAddr) -> Observer {
        let settings = Settings {
            node: "proxy".parse().unwrap(),
            kind: Kind::Balancer,
            bind: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            join: vec![at.into()],
            join_timeout: None,
            label: "x".parse().unwrap(),
            keyring: None,
            profile: Profile::LOCAL,
            data_dir: None,
        };
        Observer::new(settings, Instant::now())
    }

    /// A member of version N−1 greets, and ends the stream at a question that it does not know.
    #[tokio::test]
    async fn one_that_is_too_old_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut observer = observer(at);
        let speaker = observer.speaker.clone();
        let speaker = Speaker { sender: speaker.sender.wrapping_add(1), ..speaker };
        let old = async { answered_and_closed(speaker, listener.accept().await.unwrap().0).await };
        let (seen, ()) = tokio::join!(observer.look(), old);
        let why = seen.unwrap_err().to_string();
        let expected = format!(
            "cannot learn who is there: {at} (127.0.0.1) closed in the middle: usually a version of backchat that tells \
             members alone; name a newer one by --join"
        );
        assert_eq!(why, expected);
    }
}
