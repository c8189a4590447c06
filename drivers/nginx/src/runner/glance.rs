//! A look at an nginx that was not taken over, or at the file that one would start from: for a dry run, which starts and
//! remembers nothing.

use backchat_contract::DriverError;
use backchat_template::refuse_foreign;

use super::{Kind, Look, Runner, orphans};
use crate::{ages::Ages, control, lines, process::Master, titles};

impl Runner {
    /// Looks at one that belongs to another daemon, or to nobody, and remembers nothing of it: for a dry run. Workers are
    /// told apart as they are after a restart of the daemon. Changes nothing.
    pub async fn glance(&self, empty: &str) -> Result<Look, DriverError> {
        if let Kind::Attached(_) = &self.kind {
            refuse_foreign(&self.file, lines::MARK, empty)?;
        }
        let master = self.found()?;
        if let Some(error) = self.stopped(&master) {
            return Err(error);
        }
        let running = control::ask(&self.control).await?;
        let children = titles::children(master.pid());
        let workers = Ages::default().note(&children, running.as_ref().map(|r| r.generation));
        let left = match &self.kind {
            Kind::Managed(managed) => managed.orphans(master.pid()),
            Kind::Attached(_) => Vec::new(),
        };
        let workers = workers.into_iter().chain(orphans(&left)).collect();
        self.with_files(Look { running, master: master.pid(), workers, ..Look::default() })
    }

    /// Managed, and none runs: the file that one would be started from, empty where there is none, as far as that is known
    /// without the program's own check. Else `None`. Refused: a file that is not ours.
    pub fn vacant(&self, empty: &str) -> Result<Option<String>, DriverError> {
        match &self.kind {
            Kind::Managed(managed) if Master::adopt(&managed.launch)?.is_none() => managed.starts_from(empty).map(Some),
            Kind::Managed(_) | Kind::Attached(_) => Ok(None),
        }
    }

    /// The one that runs, without taking it over.
    fn found(&self) -> Result<Master, DriverError> {
        match &self.kind {
            Kind::Managed(managed) => Master::adopt(&managed.launch)?.ok_or_else(|| self.does_not_run()),
            Kind::Attached(attached) => attached.found(),
        }
    }
}
