//! What is sent to have a plan applied that was shown, and what came of it.

use serde::{Deserialize, Serialize, de::IntoDeserializer};

use super::{
    plan::{Change, Plan},
    status::{Refused, millis},
};
use crate::model::{
    self, Fingerprint,
    fingerprint::{FilePrint, Print},
};

/// What to plan for, beside what is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// `drain=web1`, `gone=web2`.
    #[serde(default)]
    pub assume: Vec<String>,
    /// Another template of the data plane's file.
    #[serde(default)]
    pub template: Option<TemplateText>,
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateText {
    /// As people know it: errors name it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A plan that was shown: as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Whose plan.
    pub node: String,
    /// What was shown.
    pub shown: Fingerprint,
}

/// Diffs only name what moved: longer ones are not sent for that.
const NAMING: usize = 1 << 20;

impl TryFrom<Plan> for ApplyRequest {
    type Error = String;

    /// Refuses a plan of what is only assumed, and words that no plan has.
    fn try_from(plan: Plan) -> Result<Self, String> {
        if !plan.assumed.is_empty() {
            return Err(format!("it shows what would be if {}: only what is can be applied", plan.assumed.join(", ")));
        }
        let planned = plan.changes.into_iter().filter(|change| change.status == "planned");
        let changes = planned.map(print).collect::<Result<_, _>>()?;
        let short = plan.files.into_iter().filter(|file| file.diff.len() <= NAMING);
        let files = short.map(|file| FilePrint { path: file.path, diff: file.diff }).collect();
        let (driver, version) = (plan.driver.name, plan.driver.version);
        let Plan { structure, edited, .. } = plan;
        let shown = Fingerprint { driver, version, structure, edited, changes, files };
        Ok(Self { node: plan.node, shown })
    }
}

fn print(change: Change) -> Result<Print, String> {
    let Change { kind, action, id, before, after, .. } = change;
    let (kind, action) = (word(&kind)?, word(&action)?);
    Ok(Print { kind, id, action, before, after })
}

fn word<'a, T: Deserialize<'a>>(word: &'a str) -> Result<T, String> {
    let read = T::deserialize(word.into_deserializer());
    read.map_err(|error: serde::de::value::Error| error.to_string())
}

/// What applying a plan came to, once it was read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Where.
    pub node: String,
    /// Whether anything was left to do.
    pub done: bool,
    /// How many things it changed.
    pub changes: usize,
    /// Commands that the data plane confirmed.
    pub commands: usize,
    /// Commands that it refused.
    pub refused: Vec<Refused>,
    /// Whether it was reloaded.
    pub reloaded: bool,
    /// The generation that was read back.
    pub generation: u64,
    /// From asking until it was read back, in milliseconds.
    pub took_ms: u64,
    /// What is waited for still.
    pub waiting: Option<String>,
}

impl Applied {
    /// What this node has done.
    pub fn new(node: &str, applied: &model::Applied) -> Self {
        let done = applied.done.as_ref();
        Self {
            node: node.to_owned(),
            done: done.is_some(),
            changes: done.map_or(0, |done| done.changes),
            commands: done.map_or(0, |done| done.commands),
            refused: done.into_iter().flat_map(|done| done.refused.iter().map(Refused::from)).collect(),
            reloaded: done.is_some_and(|done| done.reloaded),
            generation: applied.generation,
            took_ms: millis(applied.took),
            waiting: applied.waiting.clone(),
        }
    }
}
