//! The file half of a HAProxy of our own: its process, its files, and their loading. It knows layouts and
//! renders them; what should be in them is decided elsewhere.

mod sight;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backchat_contract::DriverError;
use backchat_template::{Restarts, Template, Templates, TooSoon, is_stopped, read};
use sight::Sight;

use crate::{
    access,
    certificates::Certificates,
    check::check,
    config::{Rendered, Renderer, located, render_by},
    files,
    layout::Layout,
    log, maps, master,
    observe::{Files, Flavour, Observed},
    paths::Paths,
    plan::{FilePlan, StructurePlan},
    process::{Launch, Process},
    protocol::{MapFile, ServerPath},
    settings::ManagedSettings,
};

/// A HAProxy of our own.
#[derive(Debug)]
pub(crate) struct Managed {
    settings: ManagedSettings,
    templates: Templates,
    launch: Launch,
    flavour: Flavour,
    process: Option<Process>,
    /// The worker that answered last.
    worker: Option<u32>,
    /// Its processes as the last step saw them.
    seen: Sight,
    restarts: Restarts,
    /// Why the access log was not written to its file at the last look.
    astray: Option<String>,
}

impl Managed {
    pub(crate) fn new(settings: ManagedSettings) -> Result<Self, DriverError> {
        let paths = settings.config.paths.clone();
        let flavour = Flavour::Managed { hosts: MapFile::new(&paths.hosts)?, services: MapFile::new(&paths.services)? };
        let access = settings.config.access.as_ref().map(|log| log.file.clone());
        let launch = Launch { program: settings.program.clone(), paths, access, limit: settings.start_limit };
        let template = settings.config.template.clone();
        let templates = Templates::new(template, settings.template_file.as_deref(), launch.paths.template.clone());
        Ok(Self {
            settings,
            templates,
            launch,
            flavour,
            process: None,
            worker: None,
            seen: Sight::default(),
            restarts: Restarts::default(),
            astray: None,
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

    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    pub(crate) fn renderer(&self) -> Renderer<'_> {
        Renderer::new(&self.settings.config)
    }

    fn render(&self, template: &Template, layout: &Layout) -> Result<Rendered, DriverError> {
        render_by(template, &self.settings.config, layout)
    }

    /// Whether it was adopted or started by this driver.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.process.is_some()
    }

    /// Looks whether the newest template is what runs already, or renders at all.
    pub(crate) async fn judge(&mut self, observed: &Observed) {
        let Self { templates, settings, .. } = self;
        let runs = |template: &Template, refused: bool| {
            let rendered = render_by(template, &settings.config, &observed.layout)?;
            let runs = observed.structure.as_ref() == Some(&rendered.structure);
            // What HAProxy refused was a line that is no structure: it must be in the file, checked.
            let written = observed.files.as_ref().is_some_and(|files| files.config == rendered.config);
            Ok(runs && (written || !refused))
        };
        templates.judge(runs).await;
    }

    /// Adopts a HAProxy on these paths, or starts one from the last good file. Whether it is another process than
    /// before.
    pub(crate) async fn ensure(&mut self) -> Result<bool, DriverError> {
        self.seen = self.sight();
        self.templates.look(Instant::now()).await;
        // Each step comes by here. A log that cannot be trimmed is no reason not to serve.
        let _ = log::trim(self.paths());
        self.tell_strays();
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
            // On the heap: it is large, and rare.
            None => (Box::pin(self.restart()).await?, "started haproxy"),
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

    /// Why the access log is not written to its file, where it is not.
    pub(crate) fn strays(&self) -> Option<String> {
        access::strays(self.process.as_ref()?.pid(), self.launch.access.as_ref()?)
    }

    /// The same for the log, once for each reason.
    fn tell_strays(&mut self) {
        let now = self.strays();
        if let Some(why) = now.as_ref().filter(|_| now != self.astray) {
            tracing::warn!(why, "the access log goes elsewhere");
        }
        self.astray = now;
    }

    /// How often it had ended, and another took its place.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.count()
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
    async fn restart(&mut self) -> Result<Process, DriverError> {
        if let Err(TooSoon { lasted, left }) = self.restarts.may_start(Instant::now()) {
            let message = format!("it ended after {} ms; trying again in {} ms", lasted.as_millis(), left.as_millis());
            return Err(DriverError::Start { program: self.launch.program.clone(), message });
        }
        self.start().await
    }

    /// From the file of before, or from one for an empty set where there is none that passes.
    async fn start(&mut self) -> Result<Process, DriverError> {
        let empty = self.settings.config.fresh(1, self.settings.spares);
        let rendered = self.render_any(&empty);
        files::refuse_foreign(self.paths(), rendered.as_ref().map_or("", |(_, empty)| &empty.config))?;
        if !files::settle(&self.launch, self.settings.limits.check).await? {
            if self.read_files()?.edited(&self.paths().config).is_some() {
                // Somebody's work, and no file of ours to start from: not to be written over.
                check(&self.launch.program, &self.paths().config, self.settings.limits.check).await?;
            }
            let (template, rendered) = rendered?;
            let tried = files::try_out(&self.launch, &rendered, self.settings.limits.check).await;
            tried.map_err(|error| located(error, &template, &self.settings.config, (&empty, &rendered)))?;
            files::write(self.paths(), &rendered).await?;
        }
        Process::start(&self.launch).await
    }

    /// What would be read of a HAProxy that starts from nothing; `None` where one runs.
    pub(crate) fn vacant(&self) -> Result<Option<Observed>, DriverError> {
        if Process::any(self.paths()) {
            return Ok(None);
        }
        let layout = self.settings.config.fresh(1, self.settings.spares);
        let (_, rendered) = self.render_any(&layout)?;
        files::refuse_foreign(self.paths(), &rendered.config)?;
        Ok(Some(Observed {
            structure: Some(rendered.structure),
            hosts: maps::hosts(&layout),
            services: maps::services(&layout),
            files: Some(self.read_files()?),
            layout,
            ..Observed::default()
        }))
    }

    /// By the first template that renders; where none does, why the operator's does not.
    pub(crate) fn render_any(&self, layout: &Layout) -> Result<(Arc<Template>, Rendered), DriverError> {
        self.templates.first(|template| Ok((Arc::clone(template), self.render(template, layout)?)))
    }

    pub(crate) fn read_files(&self) -> Result<Files, DriverError> {
        let paths = self.paths();
        let (config, hosts, services) = (read(&paths.config)?, read(&paths.hosts)?, read(&paths.services)?);
        let certificates = files::certificates(paths)?;
        Ok(Files { config, hosts, services, certificates, ..Files::default() })
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
    /// at run time might keep it from starting. Whether it was done: not, where the operator's template was to blame
    /// and there is another to go on with.
    pub(crate) async fn write(
        &mut self,
        plan: FilePlan,
        not_added: &[ServerPath],
        held: &Certificates,
    ) -> Result<bool, DriverError> {
        let mut layout = plan.layout;
        // What HAProxy would not take might keep it from starting, too: the files keep what it has.
        if !held.is_empty() {
            layout.certificates.clone_from(held);
        }
        for (name, backend) in &mut layout.backends {
            backend.servers.retain(|endpoint, _| !not_added.contains(&self.flavour.path(name, endpoint)));
        }
        let rendered = self.render(&plan.template, &layout)?;
        // An operator's template may do with the data what it likes.
        let limit = self.templates.is_followed().then_some(self.settings.limits.check);
        let written = files::write_by(&self.launch, &rendered, limit).await.map_err(files::unwritten);
        self.done(&plan.template, (&layout, &rendered), written).await
    }

    /// Checks, installs, reloads and waits for the new worker to say so; on any failure the files of before are
    /// back. Whether it was done: not, where the operator's template was to blame and there is another.
    pub(crate) async fn load(&mut self, plan: &StructurePlan) -> Result<bool, DriverError> {
        let rendered = self.render(&plan.template, &plan.layout)?;
        let deployed = files::deploy(&self.launch, &rendered, plan.layout.generation, self.settings.limits).await;
        let deployed = deployed.map_err(files::unwritten);
        let done = self.done(&plan.template, (&plan.layout, &rendered), deployed).await;
        let runs = self.process.as_ref().is_some_and(Process::is_running);
        done.map_err(|error| if runs { error.serves_on() } else { error })
    }

    /// What HAProxy took makes the template a good one; what it refused is its fault while a good one is another.
    async fn done(
        &mut self,
        template: &Arc<Template>,
        what: (&Layout, &Rendered),
        result: Result<(), DriverError>,
    ) -> Result<bool, DriverError> {
        let Self { templates, settings, .. } = self;
        templates.settle(template, result, |error| located(error, template, &settings.config, what)).await
    }

    /// Ends when the process has ended, unless that was `told`, or its workers are others than the last step saw, or
    /// one was stopped or let go on, or the template has changed. Whether it is the end. Cancel-safe.
    pub(crate) async fn attention(&mut self, told: bool) -> bool {
        let Some(process) = &mut self.process else {
            // What keeps it from starting may be the template.
            self.templates.changed().await;
            return false;
        };
        let master = process.pid();
        tokio::select! {
            () = process.ended(), if !told => true,
            () = self.templates.changed() => false,
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
