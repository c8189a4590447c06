//! What every client command takes: which daemon to ask, and how to show its answer.

use std::sync::Arc;

use super::{
    client::{Answer, Client, ClientError},
    output,
};
use crate::{admin::Addr, settings::Host};

/// Which daemon to ask.
#[derive(clap::Args)]
pub(super) struct Connection {
    /// The daemon to ask; without it the only one on this host
    #[arg(long, env = "BACKCHAT_ADMIN", value_name = "unix:PATH|ADDR:PORT", value_delimiter = ',')]
    admin: Option<Vec<Addr>>,
}

impl Connection {
    pub(super) fn open(self) -> Result<Client, ClientError> {
        // Of several flags the last one wins; a daemon's list in the environment names the same daemon throughout.
        let addr = self.admin.and_then(|addrs| addrs.into_iter().last());
        Client::open(addr, Arc::from(Host::ask().run_roots()))
    }
}

/// How to show the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A table for people.
    #[default]
    Text,
    /// A table with more columns.
    Wide,
    /// As the admin API answers.
    Json,
}

/// How every client command shows its answer.
#[derive(clap::Args)]
pub(super) struct Show {
    /// How to show the answer
    #[arg(long, short = 'o', value_enum, default_value_t)]
    pub(super) format: Format,

    /// No line of column names
    #[arg(long)]
    pub(super) no_headers: bool,
}

impl Show {
    /// Whether the answer is shown as it came.
    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints an answer: as it came where JSON is wanted, else as `text` makes it.
    pub(super) fn print<T>(&self, answer: &Answer<T>, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return output::print(&answer.text);
        }
        output::print(&text(&answer.value))
    }

    /// Prints an answer, and beside a table its totals.
    pub(super) fn table<T>(
        &self,
        answer: &Answer<T>,
        text: impl FnOnce(&T) -> String,
        totals: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        self.print(answer, text)?;
        if self.format != Format::Json {
            output::note(&totals(&answer.value));
        }
        Ok(())
    }
}
