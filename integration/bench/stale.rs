//! OpenResty: whether anybody is served by the table of before, once the push of a new one was answered.
//!
//! Each push puts another server in the place of all others. A request may be answered by the server of any push from
//! the last one that was answered when it was sent to the last one that was begun when its answer came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use axum::http::{Request, header::HOST};
use backchat::{
    demo::{Client, Web, child::Folder, ports},
    model::{Desired, Endpoint, EndpointState, Service, Weight},
};
use backchat_openresty::{
    admin::{Admin, Pushed},
    push::Push,
    table::Table,
};
use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    drive,
    figures::{Figures, Unit},
    lua,
};

/// Many more than there are pushes in the time of one request: a stale answer cannot look like a new one.
const SERVERS: usize = 16;
/// One half keeps its connections, the other makes one for each request.
const CLIENTS: usize = 8;
/// Requests that end before the next push begins.
const REQUESTS: usize = 10;

/// What came of it.
pub(crate) struct Stale {
    pub(crate) requests: usize,
    pub(crate) stale: Figures,
}

/// Pushes so often, with ten times as many requests alongside.
pub(crate) async fn measure(pushes: usize) -> Result<Stale> {
    let mut servers = Vec::new();
    for number in 0..SERVERS {
        servers.push(Web::start(([127, 0, 0, 1], 0).into(), &number.to_string()).await?);
    }
    let (folder, front) = (Folder::new("backchat-stale-")?, ports::free()?);
    let mut driver = lua::driver(folder.path(), front).await?;
    drive::converge(&mut driver, &only(&servers[0])?).await?;
    let admin = Admin::new(&folder.path().join(lua::SOCKET))?;

    let (count, stop, tasks) = (Arc::new(Count::default()), CancellationToken::new(), TaskTracker::new());
    for number in 0..CLIENTS {
        let http = Client::new(number % 2 == 0, Duration::from_secs(5));
        let request = Request::get(format!("http://{front}/")).header(HOST, "web.test").body(Bytes::new())?;
        tasks.spawn(ask(http, request, Arc::clone(&count), stop.clone()));
    }
    tasks.close();
    let done = push(&admin, &servers, &count, pushes).await;
    stop.cancel();
    tasks.wait().await;
    done?;
    drive::stop(&mut driver).await?;
    let [requests, stale, failed] = [&count.requests, &count.stale, &count.failed].map(|n| n.load(SeqCst));
    eprintln!("    stale  {stale} stale answers and {failed} failures of {requests} requests over {pushes} pushes");
    ensure!(failed == 0, "{failed} of {requests} requests failed over {pushes} pushes");
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    let stale = Figures::new(Unit::Requests, [stale as f64]);
    Ok(Stale { requests, stale })
}

/// What all of them see.
#[derive(Default)]
struct Count {
    /// The last push that was begun, from 0: the set of the start.
    begun: AtomicUsize,
    /// The last push that was answered.
    answered: AtomicUsize,
    requests: AtomicUsize,
    stale: AtomicUsize,
    failed: AtomicUsize,
}

async fn push(admin: &Admin, servers: &[Web], count: &Count, pushes: usize) -> Result<()> {
    for push in 1..=pushes {
        let over = admin.read().await?.context("no table to push over")?;
        let table = Table { version: over.version + 1, set: only(&servers[push % SERVERS])? };
        count.begun.store(push, SeqCst);
        let answer = admin.push(&Push::Whole(Arc::new(table)), &over.place()).await?;
        ensure!(answer == Pushed::Served, "push {push}: {answer:?}");
        count.answered.store(push, SeqCst);
        while count.requests.load(SeqCst) < push * REQUESTS {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    Ok(())
}

async fn ask(http: Client, request: Request<Bytes>, count: Arc<Count>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let from = count.answered.load(SeqCst);
        let answer = http.ask(request.clone()).await;
        let to = count.begun.load(SeqCst);
        let text = answer.ok().filter(|a| a.status.is_success()).and_then(|a| a.text.ok());
        let served: Option<usize> = text.and_then(|text| text.trim().parse().ok());
        let tally = match served {
            Some(by) if (from..=to).any(|push| push % SERVERS == by) => None,
            Some(_) => Some(&count.stale),
            None => Some(&count.failed),
        };
        for tally in tally.into_iter().chain([&count.requests]) {
            tally.fetch_add(1, SeqCst);
        }
    }
}

/// One service, all hosts, this server.
fn only(server: &Web) -> Result<Desired> {
    let endpoint = Endpoint { addr: server.addr().try_into()?, weight: Weight::DEFAULT, state: EndpointState::Ready };
    let mut desired = Desired::default();
    let endpoints = [("only".parse()?, endpoint)].into();
    desired.services.insert("web".parse()?, Service { endpoints, ..Service::default() });
    let route = backchat::model::Route { host: "*".parse()?, path: "/".parse()? };
    desired.routes.insert(route, "web".parse()?);
    Ok(desired)
}
