//! OpenResty: a changed endpoint until it is served, by the driver and by a bare POST of the same table.
//!
//! Bare is one request on a connection of its own, as a script makes it, its body made before. The driver finds
//! what to change in what it read back last, and pushes it over that; then it looks at what is served, and writes the file
//! from which the next start serves it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use backchat::demo::{child::Folder, ports};
use backchat_contract::Driver as _;
use backchat_openresty::{
    OpenrestyDriver,
    admin::Admin,
    table::{Table, encode},
};

use crate::{
    drive::{self, Phases},
    figures::Figures,
    load::Load,
    lua::{self, Raw},
};

/// Bare and by the driver, in turn, each on an OpenResty of its own.
pub(crate) async fn measure(load: Load, rounds: usize) -> Result<(Figures, Figures)> {
    let (mut ours, theirs) = (Stage::new(load).await?, Stage::new(load).await?);
    let first = theirs.version().await? + 1;
    let (mut bare, mut phases) = (Vec::new(), Vec::new());
    // The first is of a cold cache, on both sides.
    for (round, version) in (1..=rounds + 1).zip(first..) {
        let set = load.round(round)?;
        let read = ours.driver.observe().await?;
        let step = drive::follow(&mut ours.driver, read, &set).await?;
        let body = encode(&Table { version, set });
        let begun = Instant::now();
        Raw::to(&theirs.socket).await?.post(&body).await?;
        let posted = begun.elapsed();
        if round > 1 {
            phases.push(step);
            bare.push(posted);
        }
    }
    let driven: Vec<Duration> = phases.iter().map(|phases| phases.until_served()).collect();
    let [bare, driven] = [bare, driven].map(|times| Figures::seconds(&times));
    let Load { endpoints, backends } = load;
    eprintln!(
        "     push  {endpoints} endpoints over {backends} backends: bare {}, driver {}: {}",
        bare.show(),
        driven.show(),
        Phases::show(&phases)
    );
    ours.end().await?;
    theirs.end().await?;
    Ok((bare, driven))
}

/// An OpenResty that serves all of it.
struct Stage {
    driver: OpenrestyDriver,
    socket: PathBuf,
    _folder: Folder,
}

impl Stage {
    async fn new(load: Load) -> Result<Self> {
        let folder = Folder::new("backchat-floor-")?;
        let mut driver = lua::driver(folder.path(), ports::free()?).await?;
        drive::converge(&mut driver, &load.round(0)?).await?;
        Ok(Self { driver, socket: folder.path().join(lua::SOCKET), _folder: folder })
    }

    /// Which table is served.
    async fn version(&self) -> Result<u64> {
        Ok(Admin::new(&self.socket)?.read().await?.map_or(0, |state| state.version))
    }

    async fn end(mut self) -> Result<()> {
        drive::stop(&mut self.driver).await
    }
}
