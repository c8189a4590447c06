//! One nginx and its file: kept running, looked at, loaded anew. It knows texts and processes; what a text means, and
//! what should be in it, is decided elsewhere.

mod attached;
mod glance;
mod look;
mod managed;
mod place;
mod whole;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use backchat_contract::DriverError;
use backchat_template::{
    Engine, Staged, aside, blocking, is_stopped, keep_edited_as, last_good, log, read, roll_out, stage, stage_soon,
    unwritten,
};

use self::place::Identity;
pub use self::{
    attached::{Attached, program_of},
    look::Look,
    managed::Managed,
};
use crate::{
    ages::{Ages, Worker},
    changeover,
    check::check,
    control::{self, Running},
    process::Master,
    reload::{Reload, reload},
    settings::Limits,
    sight::Sight,
    titles,
};

/// One nginx, and the file that is ours in it.
#[derive(Debug)]
pub struct Runner {
    kind: Kind,
    limits: Limits,
    /// The file that is written.
    file: PathBuf,
    control: PathBuf,
    master: Option<Master>,
    ages: Ages,
    /// Workers of a master that was killed, which end what they have.
    orphans: Vec<u32>,
    seen: Sight,
    /// The file as we left it, or found it first.
    placed: Identity,
    /// What ran when it was looked at last.
    ran: Option<Running>,
    /// Whether somebody else has reloaded, and the file is not as we had left it: what runs may say anything of itself.
    distrusted: bool,
    /// What is told first where the file cannot be written.
    besides: &'static str,
}

/// Whose it is.
#[derive(Debug)]
enum Kind {
    Managed(Managed),
    Attached(Attached),
}

/// A text to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The file.
    pub text: String,
    /// What nginx is to answer then.
    pub generation: u64,
    /// What nginx is to answer then, too.
    pub structure: String,
    /// Whether it is asked for its opinion first; where it is not, it is by the reload itself.
    pub is_checked: bool,
}

impl Runner {
    /// An nginx of our own.
    pub fn managed(managed: Managed, limits: Limits) -> Self {
        let (file, control) = (managed.launch.config.clone(), managed.launch.control.clone());
        Self::new(Kind::Managed(managed), file, control, limits)
    }

    /// An nginx of somebody else's.
    pub fn attached(attached: Attached, limits: Limits) -> Self {
        // Its neighbours are told by the real place.
        let file = std::fs::canonicalize(&attached.include).unwrap_or_else(|_| attached.include.clone());
        let control = attached.control.clone();
        Self::new(Kind::Attached(attached), file, control, limits)
    }

    fn new(kind: Kind, file: PathBuf, control: PathBuf, limits: Limits) -> Self {
        Self {
            kind,
            limits,
            file,
            control,
            master: None,
            ages: Ages::default(),
            orphans: Vec::new(),
            seen: Sight::default(),
            placed: Identity::default(),
            ran: None,
            distrusted: false,
            besides: "",
        }
    }

    /// The same for one whose endpoints are not in what nginx reads of the file: they do not wait for it, and whoever is
    /// told that it cannot be written is told so.
    #[must_use]
    pub fn endpoints_flow(self) -> Self {
        Self { besides: "endpoints flow, and ", ..self }
    }

    /// The file that is ours.
    pub fn file(&self) -> &PathBuf {
        &self.file
    }

    /// Where the file is kept that somebody else has edited, before it is written over.
    pub fn aside(&self) -> PathBuf {
        match &self.kind {
            Kind::Managed(_) => aside(&self.file),
            // In a folder of somebody else's every file may be read.
            Kind::Attached(attached) => aside(&attached.folder.join(self.file.file_name().unwrap_or_default())),
        }
    }

    /// Managed: adopts an nginx, or starts one from the last good file; from `empty`, a text for an empty set, where
    /// there is none that passes. Attached: finds it, and gives it its file where there is none. Whether it is another
    /// process than before. Quick where it runs already.
    pub async fn ensure(&mut self, empty: impl FnOnce() -> Result<String, DriverError>) -> Result<bool, DriverError> {
        if let Kind::Managed(managed) = &self.kind {
            // Each step comes by here. A log that cannot be trimmed is no reason not to serve.
            let _ = log::trim(&managed.launch.log);
        }
        if let Some(master) = self.master.as_ref().filter(|master| self.is_current(master)) {
            self.seen = Sight::of(master.pid());
            return self.stopped(master).map_or(Ok(false), Err);
        }
        let ended = self.master.take();
        let master = match &mut self.kind {
            Kind::Managed(managed) => {
                if let Some(ended) = ended {
                    managed.ended(ended.pid());
                }
                managed.start(empty, self.limits.check).await?
            }
            Kind::Attached(attached) => {
                attached.have_file(empty()).await?;
                attached.find()?
            }
        };
        self.seen = Sight::of(master.pid());
        self.ages = Ages::default();
        self.orphans = match &self.kind {
            Kind::Managed(managed) => managed.orphans(master.pid()),
            Kind::Attached(_) => Vec::new(),
        };
        self.placed = Identity::of(&self.file);
        (self.ran, self.distrusted) = (None, false);
        let pid = master.pid();
        self.master = Some(master);
        // Cut off in it, the master is known and can be ended.
        changeover::over(pid, &self.control, &self.file).await;
        Ok(true)
    }

    /// Managed: how often it had ended, and another took its place.
    pub fn restarts(&self) -> u64 {
        match &self.kind {
            Kind::Managed(managed) => managed.restarts(),
            Kind::Attached(_) => 0,
        }
    }

    /// Whether it runs and, where another may take its place behind our back, is still the one.
    fn is_current(&self, master: &Master) -> bool {
        let another = match &self.kind {
            Kind::Managed(_) => false,
            Kind::Attached(attached) => attached.pid().is_ok_and(|pid| pid != master.pid()),
        };
        master.is_running() && !another
    }

    /// What it is called in messages.
    fn name(&self) -> String {
        match &self.kind {
            Kind::Managed(_) => format!("nginx of {}", self.file.display()),
            Kind::Attached(attached) => attached.name(),
        }
    }

    /// Whether all of its configuration is ours.
    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Managed(_))
    }

    /// Whether it was found or started, and so may be looked at by the one that it belongs to.
    pub fn has_master(&self) -> bool {
        self.master.is_some()
    }

    /// Looks at what runs, and at the file. Changes nothing.
    pub async fn look(&mut self) -> Result<Look, DriverError> {
        let Some(master) = self.master.as_ref().map(Master::pid) else { return Err(self.does_not_run()) };
        let running = control::ask(&self.control).await?;
        let children = titles::children(master);
        let same = self.ran.as_ref().map(|r| r.generation) == running.as_ref().map(|r| r.generation);
        if same && self.ages.are_strange(&children) && Identity::of(&self.file) != self.placed {
            self.distrusted = true;
        }
        let workers = self.ages.note(&children, running.as_ref().map(|r| r.generation));
        self.ran.clone_from(&running);
        self.orphans.retain(|pid| titles::is_worker(*pid));
        let workers = workers.into_iter().chain(orphans(&self.orphans)).collect();
        let look = Look { running, distrusted: self.distrusted, master, workers, ..Look::default() };
        self.with_files(look)
    }

    fn does_not_run(&self) -> DriverError {
        DriverError::Unreachable { plane: self.name(), cause: "it does not run".into() }
    }

    fn with_files(&self, look: Look) -> Result<Look, DriverError> {
        Ok(Look { file: read(&self.file)?, last_good: read(&last_good(&self.file))?, ..look })
    }

    /// Whether what runs is still what was read.
    pub async fn runs_still(&self, read: Option<&Running>) -> Result<bool, DriverError> {
        let now = control::ask(&self.control).await?;
        let what = |r: &Running| (r.generation, r.structure.clone());
        Ok(now.as_ref().map(what) == read.map(what))
    }

    /// Writes the file without a reload: only for a text that means to nginx what it runs.
    pub async fn write(&mut self, text: &str) -> Result<(), DriverError> {
        let staged = self.stage(text, stage).await;
        let written = match staged {
            Ok(staged) => blocking(move || staged.install().map(drop)).await,
            Err(error) => Err(error),
        };
        self.placed = Identity::of(&self.file);
        written.map_err(|error| unwritten(error, &format!("{}nginx's file stays as it is", self.besides)))
    }

    /// Checks, installs, reloads and waits for nginx to say so; on any failure the file of before is back.
    pub async fn load(&mut self, load: &Load) -> Result<(), DriverError> {
        let done = self.roll_out(load).await;
        self.placed = Identity::of(&self.file);
        match done {
            Ok(()) => {
                self.distrusted = false;
                Ok(())
            }
            Err(error) => {
                let runs = self.master.as_ref().is_some_and(Master::is_running);
                let error = unwritten(error, &format!("{}nginx serves on as it is", self.besides));
                Err(if runs { error.serves_on() } else { error })
            }
        }
    }

    async fn roll_out(&self, load: &Load) -> Result<(), DriverError> {
        let Some(master) = &self.master else {
            return Err(DriverError::Reload { message: "nginx does not run".into() });
        };
        let reload = Reload {
            control: self.control.clone(),
            logs: match &self.kind {
                Kind::Managed(managed) => vec![managed.launch.log.clone()],
                Kind::Attached(_) => attached::logs(master.pid()),
            },
            generation: load.generation,
            structure: load.structure.clone(),
            limit: self.limits.reload,
        };
        let engine = Nginx { runner: self, master, reload, is_checked: load.is_checked };
        // nginx reads it while the disk does what it has to.
        roll_out(&engine, self.stage(&load.text, stage_soon).await?).await
    }

    async fn stage(
        &self,
        text: &str,
        how: fn(&Path, &[u8]) -> Result<Staged, DriverError>,
    ) -> Result<Staged, DriverError> {
        let (file, aside, text) = (self.file.clone(), self.aside(), text.to_owned());
        blocking(move || {
            keep_edited_as(&file, &aside)?;
            how(&file, text.as_bytes())
        })
        .await
    }

    /// Puts the file back that nginx runs by: what lies in its place was put there by a daemon that crashed before it
    /// was loaded.
    pub async fn fall_back(&mut self) -> Result<(), DriverError> {
        let (good, file) = (last_good(&self.file), self.file.clone());
        let back = move || std::fs::rename(good, &file).map_err(DriverError::file("rename", &file));
        blocking(back).await
    }

    /// A process that somebody stopped would take all that is sent, and answer nothing until the deadlines.
    fn stopped(&self, master: &Master) -> Option<DriverError> {
        let pid = master.stopped().filter(|pid| is_stopped(*pid))?;
        let plane = self.name();
        let cause = format!("its process {pid} is stopped; 'kill -CONT {pid}' lets it go on");
        Some(DriverError::Unreachable { plane, cause })
    }

    /// Ends when the process has ended, unless that was `told`, or its workers are others than the last step saw, or
    /// one was stopped or let go on; never where there is none. Whether it is the end. Cancel-safe.
    pub async fn attention(&mut self, told: bool) -> bool {
        let Some(master) = &mut self.master else { return std::future::pending().await };
        let pid = master.pid();
        tokio::select! {
            () = master.ended(), if !told => true,
            now = self.seen.changed(pid) => {
                self.seen = now;
                false
            }
        }
    }

    /// Managed: ends it; requests in flight have until the deadline. Attached: nothing.
    pub async fn stop(&mut self, deadline: Duration) -> Result<(), DriverError> {
        let (Kind::Managed(managed), Some(mut master)) = (&self.kind, self.master.take()) else { return Ok(()) };
        let stopped = master.stop(deadline).await;
        managed.clean_up();
        stopped
    }
}

/// As workers that only end what they have.
fn orphans(pids: &[u32]) -> impl Iterator<Item = Worker> {
    pids.iter().map(|pid| Worker { pid: *pid, born: 0, retiring: true })
}

/// An nginx that is to run a generation.
struct Nginx<'a> {
    runner: &'a Runner,
    master: &'a Master,
    reload: Reload,
    is_checked: bool,
}

impl Engine for Nginx<'_> {
    async fn check(&self, staged: PathBuf) -> Result<(), DriverError> {
        if !self.is_checked {
            return Ok(());
        }
        let (file, limit) = (&self.runner.file, self.runner.limits.check);
        match &self.runner.kind {
            Kind::Managed(managed) => check(&managed.launch.call, &staged, file, limit).await,
            Kind::Attached(attached) => attached.check(&staged, limit).await,
        }
    }

    async fn reload(&self) -> Result<(), DriverError> {
        reload(self.master, &self.reload).await
    }
}
