//! The balancer: hears the cluster, keeps its data plane in step, and ends or keeps it at the end.

use std::{path::Path, sync::Arc, time::Duration};

use backchat_contract::{Driver, Mode, Structure};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Daemon, Error, LAST_WORDS, bridge, certificates, ended, orders, rehearsal};
use crate::{
    admin,
    cluster::Announcement,
    drivers,
    lifecycle::signals::Stop,
    model::{Kind, Ledger, LogFormat, Policy, Snapshot, Status, Windows},
    reconcile::{
        self, Inbox, Pace, Query,
        inbox::Snapshots,
        keeper::{self, Store},
    },
    settings::{AttachedNginx, Lb, Managed, OnExit, OpenrestyMode, Plane, Run},
    source::Writes,
};

/// How long the data plane may take to end what it serves when its daemon ends: with the goodbye before it, less than
/// the 10 s that `docker stop` waits before it kills.
const STOP_LIMIT: Duration = Duration::from_secs(6);

/// Runs until a signal or a `leave` command ends it; with `--once` until the desired set was reached.
pub async fn lb(settings: Lb) -> Result<(), Error> {
    if settings.run == Run::Once {
        // Who runs it once will not wait until a file is mended.
        rehearsal::loaded(&settings.sources.uris).await?;
    }
    // One match picks the driver; nothing behind it knows which it is.
    match &settings.plane {
        Plane::Haproxy { managed, spares } => {
            let wanted = wanted(managed, &settings);
            free(drivers::taken_from_haproxy(&wanted)?)?;
            run(drivers::haproxy(&wanted, (*spares).into())?, &settings, keep(managed, &settings)).await
        }
        Plane::AttachedHaproxy { socket } => run(drivers::attached_haproxy(socket), &settings, true).await,
        Plane::Nginx { managed } => {
            let wanted = wanted(managed, &settings);
            free(drivers::taken_from_nginx(&wanted)?)?;
            run(drivers::nginx(&wanted)?, &settings, keep(managed, &settings)).await
        }
        Plane::AttachedNginx(theirs) => {
            run(drivers::attached_nginx(&attached(theirs, &settings))?, &settings, true).await
        }
        Plane::AttachedOpenresty { theirs, is_named, mode } => {
            let wanted = drivers::AttachedNginx { is_named: *is_named, ..attached(theirs, &settings) };
            let named = is_named.then_some(wanted.program);
            let program = drivers::openresty_of_theirs(named, wanted.pid_file).await?;
            let wanted = drivers::AttachedNginx { program: &program, ..wanted };
            match mode {
                OpenrestyMode::Lua => run(drivers::attached_openresty(&wanted)?, &settings, true).await,
                OpenrestyMode::Reload => run(drivers::attached_nginx(&wanted)?, &settings, true).await,
            }
        }
        Plane::Openresty { managed, is_named, mode } => {
            let wanted = wanted(managed, &settings);
            let named = is_named.then_some(wanted.program);
            match mode {
                OpenrestyMode::Lua => {
                    let found = drivers::openresty_settings(&wanted, named).await?;
                    free(found.taken())?;
                    run(drivers::openresty(found)?, &settings, keep(managed, &settings)).await
                }
                OpenrestyMode::Reload => {
                    let program = drivers::openresty_without_lua(named).await?;
                    let wanted = drivers::Managed { program: &program, ..wanted };
                    free(drivers::taken_from_nginx(&wanted)?)?;
                    run(drivers::nginx(&wanted)?, &settings, keep(managed, &settings)).await
                }
            }
        }
    }
}

pub(super) fn attached<'a>(theirs: &'a AttachedNginx, settings: &'a Lb) -> drivers::AttachedNginx<'a> {
    drivers::AttachedNginx {
        program: &theirs.program,
        is_named: true,
        include: &theirs.include,
        conf: &theirs.conf,
        pid_file: &theirs.pid_file,
        listen: &theirs.listen,
        policies: &settings.services,
        template: theirs.template.as_deref(),
        access: access(settings),
        manners: settings.manners,
        run_dir: &settings.common.run_dir,
        rehearsal: false,
    }
}

fn keep(managed: &Managed, settings: &Lb) -> bool {
    managed.on_exit == OnExit::Keep || settings.run == Run::Once
}

fn free(taken: Option<std::net::SocketAddr>) -> Result<(), Error> {
    taken.map_or(Ok(()), |addr| Err(Error::Listen(addr)))
}

fn access(settings: &Lb) -> Option<(&Path, &LogFormat)> {
    settings.access.as_ref().map(|access| (access.file.as_path(), &access.format))
}

pub(super) fn wanted<'a>(managed: &'a Managed, settings: &'a Lb) -> drivers::Managed<'a> {
    drivers::Managed {
        program: &managed.program,
        listen: &managed.listen,
        tcp_listen: &managed.tcp_listen,
        policies: &settings.services,
        tls_listen: settings.tls.as_ref().map(|tls| tls.listen.as_slice()).unwrap_or_default(),
        template: managed.template.as_deref(),
        access: access(settings),
        manners: settings.manners,
        run_dir: &settings.common.run_dir,
        rehearsal: false,
    }
}

async fn run<D: Driver + 'static>(driver: D, settings: &Lb, keep: bool) -> Result<(), Error> {
    let mut signals = Stop::new().map_err(Error::Signals)?;
    let first = Announcement { tags: settings.common.tags.clone(), plane_stays: keep, ..Announcement::default() };
    let certificates = certificates::load(settings).await?;
    let (mut daemon, server) = Daemon::start(&settings.common, Kind::Balancer, first).await?;
    let (sender, mut commands) = mpsc::channel(bridge::COMMANDS);
    let certificates = certificates.map(|loaded| loaded.follow(&daemon));
    let loop_settings = reconcile::Settings { certificates, ..loop_settings(settings) };
    let mut plane = Loop::start(driver, (settings, loop_settings), &daemon);
    bridge::checks(&daemon, plane.status.clone());
    let status = Some(plane.status.clone());
    daemon.serve(server, bridge::sources(&daemon, &settings.common, Kind::Balancer, status, sender));
    tracing::info!(node = %settings.common.node, "balancer runs");

    let result = loop {
        // Cancel-safe: signals, channels and join handles keep what was not taken.
        tokio::select! {
            signal = signals.recv() => { tracing::info!(signal, "leaving"); break Ok(()); }
            error = ended(&mut daemon.cluster) => break Err(error),
            result = reached(&mut plane.status), if settings.run == Run::Once => break result,
            Some(command) = commands.recv() => {
                if serve(command, &daemon, &plane.queries) {
                    break Ok(());
                }
            }
        }
    };
    daemon.stopping.cancel();
    if result.is_ok() {
        daemon.leave(LAST_WORDS).await;
    }
    // Whatever ails this daemon, a data plane that serves is not ended for it.
    let stopped = plane.end(keep || result.is_err(), signals, &daemon).await;
    daemon.end().await;
    result.and(stopped)
}

/// The reconcile loop as its owner sees it.
struct Loop<D> {
    task: JoinHandle<D>,
    stop: CancellationToken,
    status: watch::Receiver<Arc<Status>>,
    queries: mpsc::Sender<Query>,
}

impl<D: Driver + 'static> Loop<D> {
    fn start(driver: D, (settings, of_loop): (&Lb, reconcile::Settings), daemon: &Daemon) -> Self {
        let (publish, status) = watch::channel(Arc::new(Status::default()));
        let (queries, asked) = mpsc::channel(bridge::COMMANDS);
        let start = daemon.handle.started();
        let store = settings.common.data_dir.as_deref().map(Store::new);
        let inbox = Inbox {
            snapshots: Snapshots::new(sources(settings, daemon, status.clone())),
            questions: bridge::questions(daemon),
            queries: asked,
            kept: store.as_ref().map_or_else(Ledger::default, |store| store.recall(start.elapsed())),
        };
        if let Some(store) = store {
            daemon.tasks.spawn(keeper::keep(store, status.clone(), (start, daemon.stop.clone())));
        }
        // Not a child of the daemon's token: the data plane outlives the goodbye.
        let stop = CancellationToken::new();
        let times = (start, stop.clone());
        let task = daemon.tasks.spawn(reconcile::run(driver, of_loop, inbox, publish, times));
        Self { task, stop, status, queries }
    }

    /// Ends the loop, and the data plane with it unless it is to be kept. A second signal hurries.
    async fn end(self, keep: bool, signals: Stop, daemon: &Daemon) -> Result<(), Error> {
        let hurry = daemon.hurry(signals);
        self.stop.cancel();
        let mut driver = self.task.await.map_err(|_| Error::Task("the reconcile loop"))?;
        if keep {
            tracing::info!("the data plane is left as it is");
            return Ok(());
        }
        tokio::select! {
            stopped = driver.stop(STOP_LIMIT) => return Ok(stopped?),
            () = hurry.cancelled() => {}
        }
        Ok(driver.stop(Duration::ZERO).await?)
    }
}

/// Who says who is there, in the order in which they count: gossip, then the others as they were named.
fn sources(
    settings: &Lb,
    daemon: &Daemon,
    status: watch::Receiver<Arc<Status>>,
) -> Vec<watch::Receiver<Arc<Snapshot>>> {
    let sources = &settings.sources;
    let down = sources.mark_dead.then(|| bridge::down(daemon, status));
    let writes = Writes { notify: sources.redis_notify, down };
    let others = rehearsal::watched(&sources.uris, &writes, (&daemon.tasks, &daemon.stop));
    settings.common.gossip.then(|| bridge::snapshots(daemon)).into_iter().chain(others).collect()
}

pub(super) fn loop_settings(settings: &Lb) -> reconcile::Settings {
    reconcile::Settings {
        policy: Policy {
            roles: settings.common.roles.iter().map(ToString::to_string).collect(),
            services: settings.services.clone(),
            default_service: settings.default_service.clone(),
            magic_domains: settings.magic_domains.clone(),
            allow_loopback: settings.allow_loopback,
            manners: settings.manners,
            keep_empty: settings.empty_service,
            hold_down: settings.hold_down,
            ..Policy::default()
        },
        mode: Mode { structure: if settings.force { Structure::Forced } else { Structure::Allowed } },
        approve: settings.approve,
        pace: Pace::default(),
        windows: Windows { failure: settings.guard_window, ..Windows::default() },
        certificates: None,
    }
}

/// `--once`: ends when the desired set was read back, or when something keeps it from being reached.
async fn reached(status: &mut watch::Receiver<Arc<Status>>) -> Result<(), Error> {
    loop {
        if status.changed().await.is_err() {
            return Err(Error::Task("the reconcile loop"));
        }
        let now = Arc::clone(&status.borrow_and_update());
        if let Some(why) = &now.error {
            return Err(Error::NotReached { why: why.clone(), config: now.bad_configuration });
        }
        if let Some(why) = &now.plane.template {
            return Err(Error::NotReached { why: why.clone(), config: true });
        }
        if let Some(approval) = now.approval.as_ref().filter(|_| now.synced) {
            return Err(Error::Held(format!("structure waits for approval: {}", approval.why)));
        }
        if now.converged && now.synced {
            let held = now.held.first().map(|hold| format!("held: {}", hold.why));
            return held.map_or(Ok(()), |why| Err(Error::Held(why)));
        }
    }
}

/// Does what was asked; says whether the balancer is to leave.
fn serve(command: admin::Command, daemon: &Daemon, queries: &mpsc::Sender<Query>) -> bool {
    let query = match command {
        admin::Command::Join { addrs, answer } if !daemon.gossips => {
            let why = || Err("this balancer does not gossip: it was started with --no-gossip".to_owned());
            let _nobody_waits =
                answer.send(addrs.into_iter().map(|addr| admin::Joined { addr, result: why() }).collect());
            return false;
        }
        admin::Command::Join { addrs, answer } => {
            daemon.answer(bridge::join(daemon.handle.clone(), addrs, answer));
            return false;
        }
        admin::Command::Order { ordering, answer } => {
            daemon.answer(orders::order(daemon.handle.clone(), ordering, answer));
            return false;
        }
        admin::Command::Leave { answer } => {
            let _nobody_waits = answer.send(());
            return true;
        }
        admin::Command::Plan { assume, answer } => Query::Plan { assume, answer },
        admin::Command::Apply { shown, answer } => Query::Apply { shown, answer },
        admin::Command::Release { hold, answer } => Query::Release { hold, answer },
    };
    if queries.try_send(query).is_err() {
        // The answer's sender was dropped with it, which tells the asker.
        tracing::warn!("too many queries wait: one was refused");
    }
    false
}
