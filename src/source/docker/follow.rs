//! Follows the containers for ever: a session hears events first and lists then, so that nothing happens unseen in
//! between. An event carries no meaning but one: a container that is told to stop drains.

use std::{
    collections::{BTreeSet, HashMap},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    models::{ContainerSummary, ContainerSummaryStateEnum, EventMessage},
    query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder},
};
use futures_util::{Stream, StreamExt};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Engine,
    labels::{Container, Health, snapshot},
};
use crate::{
    model::{Snapshot, SourceName},
    source::followed::Again,
};

/// How long an answer may take, in seconds.
const ANSWER_SECONDS: u64 = 30;
/// How often all containers are listed, whatever is heard.
const RESYNC: Duration = Duration::from_secs(60);
/// How long after an event they are listed again: the engine tells of some before its own list has them (moby logs `die`
/// and `connect`, and then copies the container to what it lists from).
const SETTLED: Duration = Duration::from_secs(1);
/// What is listened to.
const EVENTS: &[&str] =
    &["start", "die", "kill", "pause", "unpause", "rename", "destroy", "health_status", "connect", "disconnect"];

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>;

/// Follows one engine.
pub(super) struct Follower {
    engine: Engine,
    sender: watch::Sender<Arc<Snapshot>>,
    /// The containers that were told to stop or have ended, by their ids.
    stopping: BTreeSet<String>,
}

impl Follower {
    pub(super) fn new(engine: Engine, sender: watch::Sender<Arc<Snapshot>>) -> Self {
        Self { engine, sender, stopping: BTreeSet::new() }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut again = Again::new();
        loop {
            let began = Instant::now();
            let why = self.session().await;
            let known = Arc::clone(&self.sender.borrow());
            let trouble = Some(format!("{}: {why}", known.source));
            if known.trouble != trouble {
                self.sender.send_replace(Arc::new(Snapshot { trouble, ..Snapshot::clone(&known) }));
            }
            again.pause(began.elapsed()).await;
        }
    }

    /// Why it ended.
    async fn session(&mut self) -> String {
        let docker = match connect(&self.engine).await {
            Ok(docker) => docker,
            Err(why) => return why,
        };
        let mut events = events(&docker);
        let mut due = Instant::now() + RESYNC;
        loop {
            let mut is_stale = false;
            let listed = {
                let mut listing = std::pin::pin!(list(&docker));
                loop {
                    // Cancel-safe: the listing goes on. Events are polled first, so that they are asked for first.
                    tokio::select! {
                        biased;
                        heard = events.next() => match self.heard(heard) {
                            Ok(()) => is_stale = true,
                            Err(why) => return why,
                        },
                        listed = &mut listing => break listed,
                    }
                }
            };
            match listed {
                Ok(containers) => self.publish(containers),
                Err(error) => return said(&error),
            }
            if is_stale {
                due = Instant::now() + SETTLED;
                continue;
            }
            // Cancel-safe: what was not taken stays in the stream.
            tokio::select! {
                heard = events.next() => match self.heard(heard) {
                    Ok(()) => due = Instant::now() + SETTLED,
                    Err(why) => return why,
                },
                () = sleep_until(due) => due = Instant::now() + RESYNC,
            }
        }
    }

    fn heard(&mut self, heard: Option<Result<EventMessage, Error>>) -> Result<(), String> {
        let event = heard.ok_or("it ended its events")?.map_err(|e| said(&e))?;
        let actor = event.actor.unwrap_or_default();
        let Some(id) = actor.id else { return Ok(()) };
        let signal = actor.attributes.as_ref().and_then(|all| all.get("signal")).map(String::as_str);
        match event.action.as_deref() {
            // SIGTERM, as `docker stop` sends it; and SIGQUIT, by which nginx's own image stops.
            Some("kill") if matches!(signal, Some("15" | "3")) => {
                self.stopping.insert(id);
            }
            // It may be listed for a moment still.
            Some("die") => {
                self.stopping.insert(id);
            }
            Some("start" | "destroy") => {
                self.stopping.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    fn publish(&mut self, mut containers: Vec<Container>) {
        self.stopping.retain(|id| containers.iter().any(|container| container.id == *id));
        for container in &mut containers {
            container.is_stopping = self.stopping.contains(&container.id);
        }
        let source = SourceName::clone(&self.sender.borrow().source);
        let next = snapshot(&source, containers);
        if next != **self.sender.borrow() {
            self.sender.send_replace(Arc::new(next));
        }
    }
}

/// What its containers say now.
pub(super) async fn load(engine: &Engine, source: &SourceName) -> Result<Snapshot, String> {
    let docker = connect(engine).await?;
    let containers = list(&docker).await.map_err(|e| said(&e))?;
    Ok(snapshot(source, containers))
}

/// By the newest version of the API that both speak.
async fn connect(engine: &Engine) -> Result<Docker, String> {
    let docker = match engine {
        Engine::Socket(path) => Docker::connect_with_unix(&path.to_string_lossy(), ANSWER_SECONDS, API_DEFAULT_VERSION),
        Engine::Tcp(addr) => Docker::connect_with_http(addr, ANSWER_SECONDS, API_DEFAULT_VERSION),
    };
    docker.map_err(|e| said(&e))?.negotiate_version().await.map_err(|e| said(&e))
}

fn events(docker: &Docker) -> Events {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let filters = HashMap::from([("type", words(&["container", "network"])), ("event", words(EVENTS))]);
    Box::pin(docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build())))
}

/// The containers that run, those paused among them.
async fn list(docker: &Docker) -> Result<Vec<Container>, Error> {
    let with = |health: &'static str| async move {
        let filters = HashMap::from([("health", vec![health])]);
        let options = ListContainersOptionsBuilder::default().filters(&filters).build();
        let found = docker.list_containers(Some(options)).await?;
        Ok::<BTreeSet<String>, Error>(found.into_iter().filter_map(|one| one.id).collect())
    };
    let (starting, unhealthy) = (with("starting").await?, with("unhealthy").await?);
    let all = docker.list_containers(None).await?;
    let health = |id: &str| match (starting.contains(id), unhealthy.contains(id)) {
        (_, true) => Health::Unhealthy,
        (true, _) => Health::Starting,
        _ => Health::Good,
    };
    Ok(all.into_iter().filter_map(|one| container(one, health)).collect())
}

fn container(one: ContainerSummary, health: impl Fn(&str) -> Health) -> Option<Container> {
    let id = one.id?;
    let networks = one.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let addresses = networks.into_iter().filter_map(|(name, at)| Some((name, at.ip_address?.parse().ok()?)));
    let name = one.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let health = if one.state == Some(ContainerSummaryStateEnum::PAUSED) { Health::Paused } else { health(&id) };
    Some(Container {
        name: name.trim_start_matches('/').to_owned(),
        labels: one.labels.unwrap_or_default().into_iter().collect(),
        addresses: addresses.collect(),
        health,
        is_stopping: false,
        id,
    })
}

fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    crate::model::words::without_errno(&text).clone()
}
