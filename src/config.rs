//! Configuration as it is written: flags and environment (clap), and a TOML file with the same names.
//!
//! One struct a layer, every field optional; `over` lays one layer upon another: flag > environment (clap
//! puts these two into one layer) > file. A list replaces a list. What the values mean together is for
//! `settings`; this module must not know defaults.

mod agent;
mod common;
mod file;
mod lb;
mod offer;
mod services;
mod source;
mod values;
mod whose;

pub use agent::{Agent, Own as AgentOwn};
pub use common::{Common, ProfileName};
pub use file::{FileError, blame, read};
pub use lb::{DriverName, Lb, OnExit, OpenrestyMode, Own as LbOwn, PlanFormat};
pub use offer::Offer;
pub use services::{CanaryTable, CheckTable, Headers, Pair, ServiceTable, TimeoutsTable};
pub use source::Source;
pub use values::{Bind, LogFilter, LogFormat, Reachable, Span, Tag, Text, ValueError};
pub use whose::{Daemon, whose};

/// A layer of configuration: what a flag, the environment or a file said, and nothing else.
pub trait Layer: Sized + clap::Args {
    /// The keys of a file that are no flags: tables.
    const TABLES: &'static [&'static str] = &[];

    /// This layer upon another one: what it says counts, what it leaves out is taken from below.
    #[must_use]
    fn over(self, below: Self) -> Self;

    /// The layer that a file's text holds. Unknown keys are passed over: `read` has refused them.
    fn from_toml(text: &str) -> Result<Self, toml::de::Error>;
}

/// Builds a layer, field by field, from an upper and a lower one. A field left out does not compile.
macro_rules! lay {
    ($top:ident over $below:ident: $($field:ident),+ $(,)?) => {
        Self { $($field: $top.$field.or($below.$field)),+ }
    };
}
use lay;
pub(crate) use values::plain;
