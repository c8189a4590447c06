//! A set without any OpenResty that runs: the file that it would be, and its own check of it.

use std::time::Duration;

use backchat_contract::{Desired, DriverError};
use backchat_nginx::{
    keys,
    offline::{part, whole},
};

use crate::{
    config::{ConfigSettings, Rendered, located, render, room},
    plan,
    program::Program,
    table::Table,
};

/// The set as a file, by the settings' template. Pure.
pub fn rendered(config: &ConfigSettings, set: &Desired) -> Result<Rendered, DriverError> {
    let table = table(set);
    let config = &ConfigSettings { certificates: set.certificates.clone(), ..config.clone() };
    render(config, &table, room(&table), 1)
}

/// Has the program check it, a part with the modules that it needs before it. The folder of the settings' paths is to be
/// one of the caller's own: files are written there.
pub async fn check(
    config: &ConfigSettings,
    Program { program, modules }: &Program,
    set: &Desired,
    limit: Duration,
) -> Result<(), DriverError> {
    let folder = &config.paths.folder;
    let config = ConfigSettings { temp: Some(folder.join("temp")), ..config.clone() };
    let text = rendered(&config, set)?.text;
    keys::keep(&config.paths.certificates, &set.certificates).await?;
    let checked = if config.is_include {
        let head: Vec<_> = modules.iter().map(|module| format!("load_module {};\n", module.display())).collect();
        part(folder, program, (&head.concat(), &text), limit).await
    } else {
        whole(folder, program, &text, limit).await
    };
    checked.map_err(|error| located(&config, (&text, room(&table(set))), &error).unwrap_or(error))
}

fn table(set: &Desired) -> Table {
    Table { version: 1, set: plan::part(set) }
}
