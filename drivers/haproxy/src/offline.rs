//! A set without any HAProxy that runs: the files that it would be, and HAProxy's own check of them.

use backchat_contract::{Desired, DriverError};

use crate::{
    config::{Rendered, located, render},
    files,
    layout::Layout,
    plan::settled,
    process::Launch,
    settings::ManagedSettings,
};

/// The set as files, by the settings' template. Pure.
pub fn rendered(settings: &ManagedSettings, set: &Desired) -> Result<(Layout, Rendered), DriverError> {
    let layout = settled(set, &settings.config.fresh(1, settings.spares), 1);
    let rendered = render(&settings.config, &layout)?;
    Ok((layout, rendered))
}

/// Has HAProxy check them. The folder of the settings' paths is to be one of the caller's own: files are written there.
pub async fn check(settings: &ManagedSettings, set: &Desired) -> Result<(), DriverError> {
    let (layout, rendered) = rendered(settings, set)?;
    let (program, paths) = (settings.program.clone(), settings.config.paths.clone());
    let launch = Launch { program, paths, access: None, limit: settings.start_limit };
    let tried = files::try_out(&launch, &rendered, settings.limits.check).await;
    tried.map_err(|error| located(error, &settings.config.template, &settings.config, (&layout, &rendered)))
}
