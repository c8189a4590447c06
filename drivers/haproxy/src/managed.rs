//! The file half of a HAProxy of our own: its process, its files, and their loading. It knows layouts and
//! renders them; what should be in them is decided elsewhere.

mod restarts;
mod sight;

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use backchat_contract::DriverError;
use restarts::{Restarts, TooSoon};
use sight::Sight;

use crate::{
    check::check,
    config::{Rendered, render},
    files,
    layout::Layout,
    log, master,
    observe::{Files, Flavour},
    paths::Paths,
    plan::{FilePlan, StructurePlan},
    process::{Launch, Process, is_stopped},
    protocol::{MapFile, ServerPath},
    settings::ManagedSettings,
};

/// A HAProxy of our own.
#[derive(Debug)]
pub(crate) struct Managed {
    settings: ManagedSettings,
    launch: Launch,
    flavour: Flavour,
    process: Option<Process>,
    /// The worker that answered last.
    worker: Option<u32>,
    /// Its processes as the last step saw them.
    seen: Sight,
    restarts: Restarts,
}

impl Managed {
    pub(crate) fn new(settings: ManagedSettings) -> Result<Self, DriverError> {
        let paths = settings.config.paths.clone();
        let flavour = Flavour::Managed { hosts: MapFile::new(&paths.hosts)?, services: MapFile::new(&paths.services)? };
        let launch = Launch { program: settings.program.clone(), paths, limit: settings.start_limit };
        Ok(Self {
            settings,
            launch,
            flavour,
            process: None,
            worker: None,
            seen: Sight::default(),
            restarts: Restarts::default(),
        })
    }

    pub(crate) fn settings(&self) -> &ManagedSettings {
        &self.settings
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.launch.paths
    }

    pub(crate) fn flavour(&self) -> &Flavour {
        &self.flavour
    }

    pub(crate) fn render(&self, layout: &Layout) -> Result<Rendered, DriverError> {
        render(&self.settings.config, layout)
    }

    /// Adopts a HAProxy on these paths, or starts one from the last good file. Whether it is another process than
    /// before.
    pub(crate) async fn ensure(&mut self) -> Result<bool, DriverError> {
        self.seen = self.sight();
        // Each step comes by here. A log that cannot be trimmed is no reason not to serve.
        let _ = log::trim(self.paths());
        if self.process.as_ref().is_some_and(Process::is_running) {
            return self.stopped_worker().map_or(Ok(false), Err);
        }
        if let Some(ended) = self.process.take() {
            let lasted = self.restarts.ended(Instant::now());
            let said = ended.last_words();
            tracing::warn!(pid = ended.pid(), ?lasted, said, "haproxy has ended");
        }
        let (process, how) = match Process::adopt(&self.launch).await? {
            Some(process) => (process, "adopted haproxy"),
            None => (self.restart().await?, "started haproxy"),
        };
        self.restarts.started(Instant::now());
        let (pid, said) = (process.pid(), master::live(self.paths()).await);
        self.process = Some(process);
        self.seen = self.sight();
        match said {
            Ok((version, generation)) => tracing::info!(pid, version, generation, "{how}"),
            Err(error) => tracing::warn!(pid, %error, "{how}, and its runtime socket does not answer"),
        }
        Ok(true)
    }

    /// A worker that somebody stopped would take all that is sent, and answer nothing until its deadlines.
    fn stopped_worker(&self) -> Option<DriverError> {
        let pid = self.worker.filter(|pid| is_stopped(*pid))?;
        let plane = format!("haproxy at unix:{}", self.paths().socket.display());
        let cause = format!("its process {pid} is stopped; 'kill -CONT {pid}' lets it go on");
        Some(DriverError::Unreachable { plane, cause })
    }

    /// Takes note of the worker that answered.
    pub(crate) fn heard(&mut self, worker: u32) {
        self.worker = Some(worker);
    }

    /// Starts one, unless those of before ended as soon as they had started.
    async fn restart(&self) -> Result<Process, DriverError> {
        if let Err(TooSoon { lasted, left }) = self.restarts.may_start(Instant::now()) {
            let message = format!("it ended after {} ms; trying again in {} ms", lasted.as_millis(), left.as_millis());
            return Err(DriverError::Start { program: self.launch.program.clone(), message });
        }
        self.start().await
    }

    /// From the file of before, or from one for an empty set where there is none that passes.
    async fn start(&self) -> Result<Process, DriverError> {
        let empty = self.render(&Layout::empty(1, self.settings.spares));
        files::refuse_foreign(self.paths(), empty.as_ref().map_or("", |empty| &empty.config))?;
        if !files::settle(&self.launch, self.settings.limits.check).await? {
            if self.read_files()?.edited(&self.paths().config).is_some() {
                // Somebody's work, and no file of ours to start from: not to be written over.
                check(&self.launch.program, &self.paths().config, self.settings.limits.check).await?;
            }
            let empty = empty?;
            files::try_out(&self.launch, &empty, self.settings.limits.check).await?;
            files::write(self.paths(), &empty).await?;
        }
        Process::start(&self.launch).await
    }

    pub(crate) fn read_files(&self) -> Result<Files, DriverError> {
        let paths = self.paths();
        Ok(Files { config: read(&paths.config)?, hosts: read(&paths.hosts)?, services: read(&paths.services)? })
    }

    pub(crate) async fn old_workers(&self) -> usize {
        if self.process.as_ref().is_some_and(|process| is_stopped(process.pid())) {
            // Whoever serves is its worker; asking would only take time.
            return 0;
        }
        // Only for people to see: a master that is deaf for a moment is no reason to fail.
        master::processes(self.paths()).await.map_or(0, |p| p.retiring())
    }

    /// Writes the files without a reload. Servers that HAProxy would not take stay out of them: what it refused
    /// at run time might keep it from starting.
    pub(crate) async fn write(&self, plan: FilePlan, not_added: &[ServerPath]) -> Result<(), DriverError> {
        let mut layout = plan.layout;
        for (name, backend) in &mut layout.backends {
            backend.servers.retain(|endpoint, _| !not_added.contains(&self.flavour.path(name, endpoint)));
        }
        files::write(self.paths(), &self.render(&layout)?).await.map_err(files::unwritten)
    }

    /// Checks, installs, reloads and waits for the new worker to say so; on any failure the files of before are
    /// back.
    pub(crate) async fn load(&self, plan: &StructurePlan) -> Result<(), DriverError> {
        let rendered = self.render(&plan.layout)?;
        let deployed = files::deploy(&self.launch, &rendered, plan.layout.generation, self.settings.limits).await;
        let runs = self.process.as_ref().is_some_and(Process::is_running);
        deployed.map_err(files::unwritten).map_err(|error| if runs { error.serves_on() } else { error })
    }

    /// Ends when the process has ended, unless that was `told`, or its workers are others than the last step saw, or
    /// one was stopped or let go on; never where there is none. Whether it is the end. Cancel-safe.
    pub(crate) async fn attention(&mut self, told: bool) -> bool {
        let Some(process) = &mut self.process else { return std::future::pending().await };
        let master = process.pid();
        tokio::select! {
            () = process.ended(), if !told => true,
            now = self.seen.changed(master, self.worker) => {
                self.seen = now;
                false
            }
        }
    }

    fn sight(&self) -> Sight {
        self.process.as_ref().map_or_else(Sight::default, |process| Sight::of(process.pid(), self.worker))
    }

    pub(crate) async fn stop(&mut self, deadline: Duration) -> Result<(), DriverError> {
        match self.process.take() {
            Some(mut process) => process.stop(deadline).await,
            None => Ok(()),
        }
    }
}

/// A file's text, empty where there is none. What is no UTF-8 was not written by us, and reads as edited.
fn read(path: &Path) -> Result<String, DriverError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(DriverError::file("read", path)(error)),
    }
}
