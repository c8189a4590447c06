//! The template that an operator may change while we run: read again by itself, tried, and beside it the last one
//! that was good, so that whatever he writes holds up nothing but itself.
//!
//! It reads and remembers. What good is, the driver says: rendered, taken by the engine, read back.

mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use backchat_contract::{DriverError, Step};

pub use file::read_template;

use self::file::Watched;
use crate::render::Template;

/// How long a template that the engine's check refused is left alone. What it was refused for may lie beside it: a
/// certificate that is not there yet.
const RETRY: Duration = Duration::from_secs(10);
/// How long one is left alone that passed the check and could not be loaded: each attempt may hold up new connections
/// for seconds (HAProxy 2.6 pauses its listeners while it finds a port in use).
const RELOAD: Duration = Duration::from_secs(60);

/// The template to render, and the one to fall back to.
#[derive(Debug)]
pub struct Templates {
    newest: Arc<Template>,
    good: Option<Arc<Template>>,
    refusal: Option<Refusal>,
    file: Option<Watched>,
    /// Where a good one outlives us.
    kept: Option<PathBuf>,
}

/// Why the newest is not used.
#[derive(Debug)]
struct Refusal {
    why: String,
    /// When it may be tried again.
    until: Instant,
    /// Whether it is tried again now.
    again: bool,
}

impl Templates {
    /// The operator's, where it was read from a file: read again whenever that changes, the last good one kept at `kept`.
    /// Else the program's own.
    pub fn new(template: Template, file: Option<&Path>, kept: PathBuf) -> Self {
        match file {
            Some(file) => Self::followed(template, file, kept),
            None => Self::fixed(template),
        }
    }

    /// One that never changes: the program's own.
    pub fn fixed(template: Template) -> Self {
        Self { newest: Arc::new(template), good: None, refusal: None, file: None, kept: None }
    }

    /// One that was read from this file, and is read again whenever that changes. A good one is kept at `kept`, and
    /// found there by the next daemon.
    pub fn followed(template: Template, file: &Path, kept: PathBuf) -> Self {
        let newest = Arc::new(template);
        let good = read_template(&kept).ok().map(|text| {
            if text == newest.text {
                return Arc::clone(&newest);
            }
            Arc::new(Template { name: kept.display().to_string(), text })
        });
        Self { newest, good, refusal: None, file: Some(Watched::new(file)), kept: Some(kept) }
    }

    /// Whether it is the operator's own, of which nothing is known that the program's own was tested for.
    pub fn is_followed(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again. Once a step: what changed is taken when it has stayed the same for a moment, so that
    /// nobody is served by half of what an editor writes.
    pub async fn look(&mut self, now: Instant) {
        if let Some(refusal) = &mut self.refusal {
            refusal.again = now >= refusal.until;
        }
        let Some(file) = &mut self.file else { return };
        let Some(text) = file.look(&self.newest.text, now).await else { return };
        self.refusal = None;
        let good = self.good.as_ref().filter(|good| good.text == text);
        let name = self.newest.name.clone();
        tracing::info!(template = name, "the template has changed");
        self.newest = good.map_or_else(|| Arc::new(Template { name, text }), Arc::clone);
    }

    /// Ends when the file looks as if there were something to read; never where there is none. Cancel-safe.
    pub async fn changed(&self) {
        match &self.file {
            Some(file) => file.changed().await,
            None => std::future::pending().await,
        }
    }

    /// What to render by: the first of these that renders. At least one.
    pub fn candidates(&self) -> Vec<Arc<Template>> {
        let refused = self.refusal.as_ref().is_some_and(|refusal| !refusal.again);
        let newest = (!refused || self.good.is_none()).then_some(&self.newest);
        let good = self.good.as_ref().filter(|good| newest.is_none_or(|newest| !Arc::ptr_eq(newest, good)));
        newest.into_iter().chain(good).cloned().collect()
    }

    /// What comes of the first of them that renders; where none does, why the newest does not.
    pub fn first<T>(&self, by: impl Fn(&Arc<Template>) -> Result<T, DriverError>) -> Result<T, DriverError> {
        let mut first = None;
        for template in self.candidates() {
            match by(&template) {
                Ok(made) => return Ok(made),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or_else(|| DriverError::Unsupported("no template".into())))
    }

    /// A step by the first of them that renders. Nothing is done while one that was refused is to be mended.
    pub fn step<P>(&self, by: impl Fn(&Arc<Template>) -> Result<Step<P>, DriverError>) -> Result<Step<P>, DriverError> {
        Ok(match self.first(by)? {
            Step::Converged if self.is_refused() => {
                Step::Waiting { why: "the template to be mended".into(), recheck: RETRY }
            }
            step => step,
        })
    }

    /// The same while structure is held. Where nothing may be done by the newest, endpoints flow by the one that runs.
    pub fn step_held<P>(
        &self,
        by: impl Fn(&Arc<Template>) -> Result<Step<P>, DriverError>,
    ) -> Result<Step<P>, DriverError> {
        let step = self.step(&by)?;
        let before = self.good.as_ref().filter(|good| !Arc::ptr_eq(good, &self.newest));
        match (&step, before.map(&by)) {
            (Step::Waiting { .. }, Some(Ok(flows @ Step::Change(_)))) => Ok(flows),
            _ => Ok(step),
        }
    }

    /// Judges the newest, where it is still to be seen whether it is good: it is if the data plane `runs` by it already,
    /// and is refused if it does not render. `runs` is told whether it was refused before.
    pub async fn judge(&mut self, runs: impl FnOnce(&Template, bool) -> Result<bool, DriverError>) {
        let Some((template, refused)) = self.untried() else { return };
        match runs(&template, refused) {
            Err(error) => drop(self.refuse(&template, &error, Instant::now())),
            Ok(true) => self.accept(&template).await,
            Ok(false) => {}
        }
    }

    /// Judges the one that was loaded: what the engine took makes it a good one, what it refused is its fault while a
    /// good one is another. `blame` finds the template's line. Whether it was taken.
    pub async fn settle(
        &mut self,
        template: &Arc<Template>,
        loaded: Result<(), DriverError>,
        blame: impl FnOnce(DriverError) -> DriverError,
    ) -> Result<bool, DriverError> {
        let Err(error) = loaded else {
            self.accept(template).await;
            return Ok(true);
        };
        if !matches!(error, DriverError::Check { .. } | DriverError::Reload { .. }) {
            return Err(error);
        }
        let error = blame(error);
        if self.refuse(template, &error, Instant::now()) { Ok(false) } else { Err(error) }
    }

    /// The newest, where it is still to be seen whether it is good, and whether it was refused before.
    pub fn untried(&self) -> Option<(Arc<Template>, bool)> {
        let open = self.refusal.as_ref().is_none_or(|refusal| refusal.again);
        (open && !self.is_good(&self.newest)).then(|| (Arc::clone(&self.newest), self.refusal.is_some()))
    }

    /// Takes note that this one is what the data plane runs by.
    pub async fn accept(&mut self, template: &Arc<Template>) {
        if !Arc::ptr_eq(template, &self.newest) || self.is_good(template) {
            return;
        }
        if self.good.is_some() || self.refusal.is_some() {
            tracing::info!(template = template.name, "the template is in use");
        }
        self.refusal = None;
        self.good = Some(Arc::clone(template));
        if let Some(kept) = self.kept.clone() {
            file::keep(kept, Arc::clone(template)).await;
        }
    }

    /// Takes note that this one does not render, or that the engine refuses what it renders. Whether there is another
    /// to go on with: if not, the failure is the step's.
    pub fn refuse(&mut self, template: &Arc<Template>, error: &DriverError, now: Instant) -> bool {
        if !Arc::ptr_eq(template, &self.newest) || self.good.is_none() || self.is_good(template) {
            return false;
        }
        let (why, left_alone) = match error {
            DriverError::Check { file, message } => (format!("{file}: {message}"), RETRY),
            other => (format!("{}: {other}", template.name), RELOAD),
        };
        if self.refusal.as_ref().is_none_or(|before| before.why != why) {
            tracing::warn!("{why}; the template of before serves on");
        }
        self.refusal = Some(Refusal { why, until: now + left_alone, again: false });
        true
    }

    /// Whether the newest was refused.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// What is wrong with the operator's template, with what goes on meanwhile; `None` where all is well.
    pub fn trouble(&self, generation: u64) -> Option<String> {
        // What was refused was read before: that nothing can be read any more is the newer word.
        let unread = self.file.as_ref().and_then(Watched::unread);
        let why = unread.or_else(|| self.refusal.as_ref().map(|refusal| refusal.why.as_str()))?;
        let stop = if why.ends_with(['?', '.', '!']) { "" } else { ";" };
        Some(format!("{why}{stop} generation {generation} serves on"))
    }

    fn is_good(&self, template: &Arc<Template>) -> bool {
        self.good.as_ref().is_some_and(|good| Arc::ptr_eq(good, template))
    }
}

#[cfg(test)]
mod tests;
