//! The operator's template at nginx: rendered by, tried, and left alone for the one before it where nginx refuses it.
//! It knows nothing of the process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use backchat_contract::{DriverError, Mode, Step, Structure, Trial};
use backchat_template::{Template, Templates};

use crate::{
    config::{ConfigSettings, located, render},
    layout::Layout,
    observe::Observed,
    plan::{Plan, operator},
};

/// The settings, and the templates that they may be rendered by.
#[derive(Debug)]
pub(crate) struct Following {
    config: ConfigSettings,
    /// What is rendered: of what nginx refuses elsewhere no template is to blame.
    rendered: PathBuf,
    pub(crate) templates: Templates,
}

impl Following {
    pub(crate) fn new(config: ConfigSettings, rendered: PathBuf, file: Option<&Path>) -> Self {
        let templates = Templates::new(config.template.clone(), file, config.paths.good_template());
        Self { config, rendered, templates }
    }

    /// Whether one that failed is asked where there is no other: Hipache's dead are not.
    pub(crate) fn asks_failing(&self) -> bool {
        !self.config.manners.is_hipache()
    }

    /// The first text of a fresh folder.
    pub(crate) fn empty(&self) -> Result<String, DriverError> {
        self.templates.first(|template| Ok(render(&self.config.by(template), &Layout::default(), 1)?.text))
    }

    /// A step, by the first template that renders.
    pub(crate) fn plan(
        &self,
        mode: Mode,
        by: impl Fn(&ConfigSettings) -> Result<Step<Plan>, DriverError>,
    ) -> Step<Plan> {
        let by = |template: &Arc<Template>| {
            Ok(match by(&self.config.by(template))? {
                Step::Change(plan) => Step::Change(Plan { template: Some(Arc::clone(template)), ..plan }),
                other => other,
            })
        };
        let held = mode.structure == Structure::Held;
        let planned = if held { self.templates.step_held(by) } else { self.templates.step(by) };
        planned.unwrap_or_else(|error| operator(error.serves_on().to_string()))
    }

    /// A step by a template that is only tried.
    pub(crate) fn plan_by(
        &self,
        trial: Trial<'_>,
        by: impl Fn(&ConfigSettings) -> Result<Step<Plan>, DriverError>,
    ) -> Result<Step<Plan>, DriverError> {
        by(&self.config.by(&Template { name: trial.name.into(), text: trial.text.into() }))
    }

    /// Looks whether the newest template is what runs already, or renders at all.
    pub(crate) async fn judge(&mut self, observed: &Observed) {
        let Self { config, templates, .. } = self;
        let runs = |template: &Template, _| {
            let rendered = render(&config.by(template), &observed.live, observed.generation())?;
            Ok(observed.runs(&rendered.structure))
        };
        templates.judge(runs).await;
    }

    /// What nginx made of a text by this template; whether it was taken.
    pub(crate) async fn done(
        &mut self,
        template: &Arc<Template>,
        text: &str,
        loaded: Result<(), DriverError>,
    ) -> Result<bool, DriverError> {
        let Self { config, rendered, templates } = self;
        let followed = templates.is_followed();
        let blame = |error: DriverError| {
            if followed { blame(&config.by(template), rendered, text, error) } else { error }
        };
        let settled = templates.settle(template, loaded, blame).await;
        settled.map_err(|error| if followed { error.serves_on() } else { error })
    }

    /// What kept nginx from starting by the first text of a fresh folder.
    pub(crate) fn unstarted(&self, error: DriverError) -> DriverError {
        match (self.templates.candidates().first(), self.empty()) {
            (Some(template), Ok(text)) if self.templates.is_followed() => {
                blame(&self.config.by(template), &self.rendered, &text, error)
            }
            _ => error,
        }
    }
}

/// What nginx said, with the template's own line where it is about our file.
fn blame(config: &ConfigSettings, rendered: &Path, text: &str, error: DriverError) -> DriverError {
    let ours = matches!(&error, DriverError::Check { file, .. } if rendered == Path::new(file));
    if ours { located(config, text, &error).unwrap_or(error) } else { error }
}
