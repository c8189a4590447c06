//! The operator's template at OpenResty: rendered by, tried, and left alone for the one before it where nginx refuses it.
//! It knows nothing of the process.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use backchat_contract::{Desired, DriverError, Mode, Step, Structure, Trial};
use backchat_nginx::{certificates::Certificates, runner::Look};
use backchat_template::{Template, Templates};

use crate::{
    config::{self, ConfigSettings, Rendered, located, render, room},
    observe::Observed,
    plan::{Plan, ReloadPlan},
    table::Table,
    theirs::with_remedy,
};

/// How often a table may have halved since it was given its shared memory, which does not shrink.
const ROOMS: u32 = 8;

/// The settings, and the templates that they may be rendered by.
#[derive(Debug)]
pub(crate) struct Following {
    config: ConfigSettings,
    pub(crate) templates: Templates,
    /// What templates made of the settings last: the same whoever is served.
    heads: Mutex<VecDeque<Head>>,
}

/// What a template made of the settings with so much room, for a generation.
#[derive(Debug)]
struct Head {
    template: Template,
    certificates: Certificates,
    room: u64,
    generation: u64,
    rendered: Arc<Rendered>,
}

/// How many of them are remembered: a plan may need that of now and the next, each by two templates.
const HEADS: usize = 4;

impl Following {
    pub(crate) fn new(config: ConfigSettings, file: Option<&Path>) -> Self {
        let templates = Templates::new(config.template.clone(), file, config.paths.good_template());
        Self { config, templates, heads: Mutex::default() }
    }

    /// Whether one that failed is asked where there is no other: Hipache's dead are not.
    pub(crate) fn asks_failing(&self) -> bool {
        !self.config.manners.is_hipache()
    }

    /// A table as a file, by settings with a template of these.
    pub(crate) fn render(
        &self,
        config: &ConfigSettings,
        table: &Table,
        room: u64,
        generation: u64,
    ) -> Result<Rendered, DriverError> {
        Ok(config::with_table(&*self.head(config, room, generation)?, table))
    }

    fn head(&self, config: &ConfigSettings, room: u64, generation: u64) -> Result<Arc<Rendered>, DriverError> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |head: &&Head| {
            let by = (&head.template, &head.certificates) == (&config.template, &config.certificates);
            by && (head.room, head.generation) == (room, generation)
        };
        if let Some(head) = heads.iter().find(same) {
            return Ok(Arc::clone(&head.rendered));
        }
        let rendered = Arc::new(config::head(config, room, generation)?);
        let (template, certificates) = (config.template.clone(), config.certificates.clone());
        heads.push_front(Head { template, certificates, room, generation, rendered: Arc::clone(&rendered) });
        heads.truncate(HEADS);
        Ok(rendered)
    }

    /// The first text of a fresh folder.
    pub(crate) fn empty(&self) -> Result<String, DriverError> {
        let table = Table { version: 1, set: Desired::default() };
        self.templates.first(|template| Ok(render(&self.config.by(template), &table, room(&table), 1)?.text))
    }

    /// What would be read of one that was just started from this file; from `empty`, where there is none.
    pub(crate) fn started(&self, file: String, empty: &str) -> Observed {
        let Some(kept) = config::parse(if file.is_empty() { empty } else { &file }) else {
            return Observed::of(Look { file, ..Look::default() }, None);
        };
        let settings = ConfigSettings { certificates: kept.certificates.clone(), ..self.newest() };
        // How much shared memory the file gives stands in what the template makes of it.
        let least = room(&kept.table);
        let gives = |room: &u64| {
            let rendered = render(&settings, &kept.table, *room, kept.generation);
            rendered.is_ok_and(|rendered| rendered.structure == kept.structure)
        };
        let room = (0..ROOMS).map(|doubled| least << doubled).find(gives).unwrap_or(least);
        Observed::started(file, kept, room)
    }

    /// A step, by the first template that renders; where none does, `otherwise` by the newest.
    pub(crate) fn plan(
        &self,
        mode: Mode,
        by: impl Fn(&ConfigSettings) -> Result<Step<Plan>, DriverError>,
        otherwise: impl Fn(&ConfigSettings) -> Step<Plan>,
    ) -> Step<Plan> {
        let by = |template: &Arc<Template>| {
            Ok(match by(&self.config.by(template))? {
                Step::Change(plan) => Step::Change(Plan { template: Some(Arc::clone(template)), ..plan }),
                other => other,
            })
        };
        let held = mode.structure == Structure::Held;
        let planned = if held { self.templates.step_held(by) } else { self.templates.step(by) };
        planned.unwrap_or_else(|_| otherwise(&self.newest()))
    }

    /// A step by a template that is only tried.
    pub(crate) fn plan_by(
        &self,
        trial: Trial<'_>,
        by: impl Fn(&ConfigSettings) -> Result<Step<Plan>, DriverError>,
    ) -> Result<Step<Plan>, DriverError> {
        by(&self.config.by(&Template { name: trial.name.into(), text: trial.text.into() }))
    }

    /// The settings by the newest template that may be used.
    fn newest(&self) -> ConfigSettings {
        self.templates.candidates().first().map_or_else(|| self.config.clone(), |newest| self.config.by(newest))
    }

    /// Looks whether the newest template is what runs already, or renders at all.
    pub(crate) async fn judge(&mut self, observed: &Observed) {
        let Self { config, templates, .. } = self;
        let runs = |template: &Template, _| {
            let Desired { certificates, .. } = observed.live();
            let config = ConfigSettings { certificates, ..config.clone() };
            let table = Table { version: 1, set: observed.live() };
            let room = room(&table).max(observed.room());
            let rendered = render(&config.by(template), &table, room, observed.generation())?;
            Ok(observed.runs(&rendered.structure))
        };
        templates.judge(runs).await;
    }

    /// What nginx made of a reload by this template; whether it was taken.
    pub(crate) async fn done(
        &mut self,
        template: &Arc<Template>,
        reload: &ReloadPlan,
        loaded: Result<(), DriverError>,
    ) -> Result<bool, DriverError> {
        let Self { config, templates, .. } = self;
        let followed = templates.is_followed();
        let blame = |error: DriverError| {
            let text = (reload.text.as_str(), reload.room);
            let error = if followed { blame(&config.by(template), text, error) } else { error };
            if config.is_include { with_remedy(error) } else { error }
        };
        let settled = templates.settle(template, loaded, blame).await;
        settled.map_err(|error| if followed { error.serves_on() } else { error })
    }

    /// What kept nginx from starting by the first text of a fresh folder.
    pub(crate) fn unstarted(&self, error: DriverError) -> DriverError {
        match self.empty() {
            Ok(text) if self.templates.is_followed() => {
                let room = room(&Table { version: 1, set: Desired::default() });
                blame(&self.newest(), (&text, room), error)
            }
            _ => error,
        }
    }
}

/// What nginx said, with the template's own line where it is about our file.
fn blame(config: &ConfigSettings, text: (&str, u64), error: DriverError) -> DriverError {
    let ours = matches!(&error, DriverError::Check { file, .. } if config.paths.config == Path::new(file));
    if ours { located(config, text, &error).unwrap_or(error) } else { error }
}
