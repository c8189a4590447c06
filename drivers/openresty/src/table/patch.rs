//! What a table becomes where only the endpoints of a few services change: the rest of it need not be said. Pure.

use std::collections::BTreeMap;

use backchat_contract::{Service, ServiceName};

use super::{Lines, Table, TableError, read};

/// Some services of a table, each with all of its endpoints, in the place of what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The number of the table that it makes, one above the one that it lies behind.
    pub version: u64,
    /// The services, by name.
    pub services: BTreeMap<ServiceName, Service>,
}

impl Patch {
    /// As text.
    pub fn encode(&self) -> String {
        let mut lines = Lines::begin("patch", self.version);
        for (name, service) in &self.services {
            lines.service(name, service);
        }
        lines.end()
    }

    /// Reads one as strictly as a table.
    pub fn decode(text: &str) -> Result<Self, TableError> {
        let (version, set) = read(text, "patch")?;
        if !set.routes.is_empty() {
            return Err(TableError { line: 1, why: "a patch with routes" });
        }
        Ok(Self { version, services: set.services })
    }

    /// Makes of a table the next one. Fails where it lies behind another one, or has a service that is not there.
    pub fn amend(&self, table: &mut Table) -> Result<(), TableError> {
        let refuse = |why| TableError { line: 1, why };
        if self.version != table.version + 1 {
            return Err(refuse("a patch of another table"));
        }
        let fits = |(name, service): (&ServiceName, &Service)| {
            table.set.services.get(name).is_some_and(|before| before.protocol == service.protocol)
        };
        if !self.services.iter().all(fits) {
            return Err(refuse("a patch of an unknown service"));
        }
        table.set.services.extend(self.services.iter().map(|(name, service)| (name.clone(), service.clone())));
        table.version = self.version;
        Ok(())
    }
}
