//! An nginx of our own: started from the file of before, or from an empty one; its end noticed.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use backchat_contract::DriverError;
use backchat_template::{
    Restarts, Seal, TooSoon, blocking, edited, install, keep_edited, last_good, log, read, refuse_foreign,
};

use crate::{
    check::check,
    lines,
    log::emergencies,
    process::{Launch, Master},
    titles,
    user::make_temp,
};

/// How it is started, and how its last lives were.
#[derive(Debug)]
pub struct Managed {
    /// How to start it.
    pub launch: Launch,
    restarts: Restarts,
}

impl Managed {
    /// One that was not started yet.
    pub fn new(launch: Launch) -> Self {
        Self { launch, restarts: Restarts::default() }
    }

    /// It was found ended.
    pub(super) fn ended(&mut self, pid: u32) {
        let lasted = self.restarts.ended(Instant::now());
        let log = &self.launch.log;
        let said = emergencies(&log::since(log, log::len(log).saturating_sub(4096)));
        tracing::warn!(pid, ?lasted, said, "nginx has ended");
    }

    /// How often it had ended, and another took its place.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts.count()
    }

    /// Adopts what runs, or starts one, unless those of before ended as soon as they had started.
    pub(super) async fn start(
        &mut self,
        empty: impl FnOnce() -> Result<String, DriverError>,
        limit: Duration,
    ) -> Result<Master, DriverError> {
        let (master, how) = if let Some(master) = Master::adopt(&self.launch)? {
            (master, "adopted nginx")
        } else {
            self.may_start()?;
            self.launch.config.parent().map_or(Ok(()), make_temp)?;
            self.settle(empty(), limit).await?;
            (Master::start(&self.launch).await?, "started nginx")
        };
        self.restarts.started(Instant::now());
        tracing::info!(pid = master.pid(), "{how}");
        Ok(master)
    }

    fn may_start(&self) -> Result<(), DriverError> {
        self.restarts.may_start(Instant::now()).map_err(|TooSoon { lasted, left }| {
            let message = format!("it ended after {} ms; trying again in {} ms", lasted.as_millis(), left.as_millis());
            DriverError::Start { program: self.launch.call.program.clone(), message }
        })
    }

    /// Sees to a file to start from: the one in place; where that is cut or does not pass, the last good one; else an
    /// empty one. One that somebody edited is taken if it passes, and put aside if not.
    async fn settle(&self, empty: Result<String, DriverError>, limit: Duration) -> Result<(), DriverError> {
        let config = &self.launch.config;
        refuse_foreign(config, lines::MARK, empty.as_deref().unwrap_or(""))?;
        if self.passes(config, limit).await? {
            return Ok(());
        }
        let good = last_good(config);
        if self.passes(&good, limit).await? {
            tracing::warn!(file = %config.display(), "starting from the last good configuration: the current one does not pass");
            let (good, to) = (good.clone(), config.clone());
            return blocking(move || {
                keep_edited(&to)?;
                fs::rename(good, &to).map_err(DriverError::file("rename", &to))
            })
            .await;
        }
        let text = read(config)?;
        if edited(config, &text, Seal::of(&text)).is_some() {
            // Somebody's work, and no file of ours to start from: not to be written over.
            check(&self.launch.call, config, config, limit).await?;
        }
        let (text, to) = (empty?, config.clone());
        blocking(move || install(&to, text.as_bytes()).map(drop)).await?;
        check(&self.launch.call, config, config, limit).await
    }

    /// The same without a word of nginx's: what `settle` would come to where all passes; empty where there is no file.
    pub(super) fn starts_from(&self, empty: &str) -> Result<String, DriverError> {
        let config = &self.launch.config;
        refuse_foreign(config, lines::MARK, empty)?;
        for file in [config, &last_good(config)] {
            let text = read(file)?;
            if Seal::of(&text) != Seal::Missing {
                return Ok(text);
            }
        }
        Ok(String::new())
    }

    /// Whether there is a whole file of ours, edited or not, that nginx would start from.
    async fn passes(&self, file: &Path, limit: Duration) -> Result<bool, DriverError> {
        let whole = Seal::of(&read(file)?) != Seal::Missing;
        Ok(whole && check(&self.launch.call, file, file, limit).await.is_ok())
    }

    /// Workers of an earlier master, which serve what they have: of whatever generation.
    pub(super) fn orphans(&self, master: u32) -> Vec<u32> {
        titles::orphans(&self.launch.folder, Some(master))
    }

    /// nginx removes its pid file and its sockets; where it was killed they stay.
    pub(super) fn clean_up(&self) {
        for path in [&self.launch.pid, &self.launch.control] {
            // Not there is what is wanted, and a stale one does no harm.
            let _ = fs::remove_file(path);
        }
    }
}
