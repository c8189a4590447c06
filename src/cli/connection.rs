//! What every client command takes: which daemon to ask, and how to show its answer.

use std::{path::PathBuf, sync::Arc};

use super::{
    client::{Answer, Client, ClientError},
    output,
};
use crate::{
    admin::{Addr, Token},
    settings::Host,
};

/// Which daemon to ask.
#[derive(clap::Args)]
pub(super) struct Connection {
    /// The daemon to ask; without it the only one on this host
    #[arg(long, env = "BACKCHAT_ADMIN", value_name = "unix:PATH|ADDR:PORT", value_delimiter = ',')]
    admin: Option<Vec<Addr>>,

    /// What that daemon asks for over TCP: the file that it was given
    #[arg(long, env = "BACKCHAT_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl Connection {
    pub(super) fn open(self) -> Result<Client, ClientError> {
        // Of several flags the last one wins; a daemon's list in the environment names the same daemon throughout.
        let addr = self.admin.and_then(|addrs| addrs.into_iter().last());
        let client = Client::open(addr, Arc::from(Host::ask().run_roots()))?;
        // What nobody asks for need not be there: the daemon's file is not everybody's to read.
        let file = self.admin_token_file.filter(|_| matches!(client.addr(), Addr::Tcp(_)));
        Ok(client.saying(file.as_deref().map(Token::load).transpose()?))
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
