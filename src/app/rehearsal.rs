//! The dry run: the plan that the daemon would apply, by what the cluster tells one who is no member of it and by what
//! files list, on the data plane that runs or on none. It starts nothing, writes nothing, binds nothing, and asks the
//! data plane only what it would be read by.

mod sources;

use std::time::Duration;

use backchat_contract::Driver;
use tokio::time::{Instant, sleep};

use self::sources::Sources;
pub(super) use self::sources::{loaded, watched};
use super::{Error, certificates, lb};
use crate::{
    drivers,
    lifecycle::signals::Stop,
    model::{Ledger, Proposal, Snapshot},
    reconcile::{self, Rehearsal, keeper::Store},
    settings::{AttachedNginx, Lb, Managed, OpenrestyMode, Plane, Run},
};

/// How often the data plane is read, and a member asked, between two changes of a file.
const LOOK: Duration = Duration::from_secs(1);

/// Shows what would be done: once, or at each look until a signal ends it.
///
/// # Errors
/// Once: a file that cannot be taken, no member that can be asked, a data plane that cannot be read. Else: a flag that
/// leads nowhere, and no member within `--join-timeout`.
pub async fn dry_run(settings: &Lb, show: impl FnMut(&Proposal)) -> Result<(), Error> {
    match &settings.plane {
        Plane::Haproxy { managed, spares } => {
            rehearse(drivers::haproxy(&wanted(managed, settings), (*spares).into())?, settings, show).await
        }
        Plane::AttachedHaproxy { socket } => rehearse(drivers::attached_haproxy(socket), settings, show).await,
        Plane::Nginx { managed } => rehearse(drivers::nginx(&wanted(managed, settings))?, settings, show).await,
        Plane::AttachedNginx(theirs) => {
            rehearse(drivers::attached_nginx(&attached(theirs, settings))?, settings, show).await
        }
        Plane::AttachedOpenresty { theirs, is_named, mode } => {
            let wanted = drivers::AttachedNginx { is_named: *is_named, ..attached(theirs, settings) };
            let named = is_named.then_some(wanted.program);
            let program = drivers::openresty_of_theirs(named, wanted.pid_file).await?;
            let wanted = drivers::AttachedNginx { program: &program, ..wanted };
            match mode {
                OpenrestyMode::Lua => rehearse(drivers::attached_openresty(&wanted)?, settings, show).await,
                OpenrestyMode::Reload => rehearse(drivers::attached_nginx(&wanted)?, settings, show).await,
            }
        }
        Plane::Openresty { managed, is_named, mode } => {
            let wanted = wanted(managed, settings);
            let named = is_named.then_some(wanted.program);
            match mode {
                OpenrestyMode::Lua => {
                    let found = drivers::openresty_settings(&wanted, named).await?;
                    rehearse(drivers::openresty(found)?, settings, show).await
                }
                OpenrestyMode::Reload => {
                    let program = drivers::openresty_without_lua(named).await?;
                    let wanted = drivers::Managed { program: &program, ..wanted };
                    rehearse(drivers::nginx(&wanted)?, settings, show).await
                }
            }
        }
    }
}

fn wanted<'a>(managed: &'a Managed, settings: &'a Lb) -> drivers::Managed<'a> {
    drivers::Managed { rehearsal: true, ..lb::wanted(managed, settings) }
}

fn attached<'a>(theirs: &'a AttachedNginx, settings: &'a Lb) -> drivers::AttachedNginx<'a> {
    drivers::AttachedNginx { rehearsal: true, ..lb::attached(theirs, settings) }
}

async fn rehearse<D: Driver>(driver: D, settings: &Lb, mut show: impl FnMut(&Proposal)) -> Result<(), Error> {
    let start = Instant::now();
    let store = settings.common.data_dir.as_deref().map(Store::new);
    let kept = store.map_or_else(Ledger::default, |store| store.glance(start.elapsed()));
    let certificates = certificates::glance(settings).await?.map(certificates::Loaded::still);
    let of_loop = reconcile::Settings { certificates, ..lb::loop_settings(settings) };
    let mut rehearsal = Rehearsal::new(driver, of_loop, kept, start);
    if let Run::DryRun { once: true, .. } = settings.run {
        show(&rehearsal.proposal(&sources::once(settings, start).await?).await?);
        return Ok(());
    }
    let mut signals = Stop::new().map_err(Error::Signals)?;
    let mut sources = Sources::follow(settings, start)?;
    loop {
        // Cancel-safe: a look that is cut off has changed nothing.
        tokio::select! {
            signal = signals.recv() => { tracing::info!(signal, "ending"); return Ok(()); }
            known = sources.newest() => look(&mut rehearsal, &known?, &mut show).await,
        }
        // Cancel-safe: signals and watches keep what was not taken, a sleep has no state.
        tokio::select! {
            signal = signals.recv() => { tracing::info!(signal, "ending"); return Ok(()); }
            () = sources.changed() => {}
            () = sleep(LOOK) => {}
        }
    }
}

async fn look<D: Driver>(rehearsal: &mut Rehearsal<D>, known: &[Snapshot], show: &mut impl FnMut(&Proposal)) {
    if !known.iter().all(|s| s.synced) {
        return;
    }
    match rehearsal.proposal(known).await {
        Ok(proposal) => show(&proposal),
        Err(error) => tracing::warn!("failed to {error}; trying again"),
    }
}
