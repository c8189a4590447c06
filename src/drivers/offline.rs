//! Each driver's files for a set without a data plane that runs, and the engine's own check of them.

use std::path::{Path, PathBuf};

use backchat_contract::{Desired, DriverError};
use backchat_openresty::program::{self, Program};

use super::{
    AttachedNginx, Managed, attached_nginx_settings, attached_openresty_settings, haproxy_settings, nginx_settings,
    openresty_of, openresty_without_lua,
};

/// A file as it would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// HAProxy's file and the maps beside it.
pub fn haproxy(wanted: &Managed<'_>, spares: usize, set: &Desired) -> Result<Vec<File>, DriverError> {
    let settings = haproxy_settings(wanted, spares)?;
    let (_, rendered) = backchat_haproxy::offline::rendered(&settings, set)?;
    let paths = settings.config.paths;
    let files = [(paths.config, rendered.config), (paths.hosts, rendered.hosts), (paths.services, rendered.services)];
    Ok(files.into_iter().map(|(path, text)| File { path, text }).collect())
}

/// nginx's file.
pub fn nginx(wanted: &Managed<'_>, set: &Desired) -> Result<Vec<File>, DriverError> {
    let config = nginx_settings(wanted)?.config;
    let text = backchat_nginx::offline::rendered(&config, set)?.text;
    Ok(vec![File { path: config.paths.config, text }])
}

/// Our file in somebody else's nginx.
pub fn attached_nginx(wanted: &AttachedNginx<'_>, set: &Desired) -> Result<Vec<File>, DriverError> {
    let settings = attached_nginx_settings(wanted)?;
    let text = backchat_nginx::offline::rendered(&settings.config, set)?.text;
    Ok(vec![File { path: settings.attached.include, text }])
}

/// OpenResty's file. Which modules it loads is the program's to say; where there is none, none is loaded.
pub async fn openresty(wanted: &Managed<'_>, named: Option<&Path>, set: &Desired) -> Result<Vec<File>, DriverError> {
    let named = named.map(|path| path.display().to_string());
    let program = wanted.program.display().to_string();
    let found = program::find(named.as_deref()).await.unwrap_or(Program { program, modules: Vec::new() });
    let config = openresty_of(wanted, found)?.config;
    let text = backchat_openresty::offline::rendered(&config, set)?.text;
    Ok(vec![File { path: config.paths.config, text }])
}

/// Our file in somebody else's OpenResty.
pub fn attached_openresty(wanted: &AttachedNginx<'_>, set: &Desired) -> Result<Vec<File>, DriverError> {
    let settings = attached_openresty_settings(wanted)?;
    let text = backchat_openresty::offline::rendered(&settings.config, set)?.text;
    Ok(vec![File { path: settings.attached.include, text }])
}

/// HAProxy's own word on its file. The run folder is to be one of the caller's own, here and below.
pub async fn check_haproxy(wanted: &Managed<'_>, spares: usize, set: &Desired) -> Result<(), DriverError> {
    backchat_haproxy::offline::check(&haproxy_settings(wanted, spares)?, set).await
}

/// nginx's own word on its file.
pub async fn check_nginx(wanted: &Managed<'_>, set: &Desired) -> Result<(), DriverError> {
    let settings = nginx_settings(wanted)?;
    backchat_nginx::offline::check(&settings.config, &settings.program, set, settings.limits.check).await
}

/// nginx's own word on our file, as a part of the least that it can be a part of.
pub async fn check_attached_nginx(wanted: &AttachedNginx<'_>, set: &Desired) -> Result<(), DriverError> {
    let settings = attached_nginx_settings(wanted)?;
    backchat_nginx::offline::check(&settings.config, &settings.attached.program, set, settings.limits.check).await
}

/// OpenResty's own word on its file.
pub async fn check_openresty(wanted: &Managed<'_>, named: Option<&Path>, set: &Desired) -> Result<(), DriverError> {
    let named = named.map(|path| path.display().to_string());
    let found = program::find(named.as_deref()).await?;
    let settings = openresty_of(wanted, found.clone())?;
    backchat_openresty::offline::check(&settings.config, &found, set, settings.limits.check).await
}

/// OpenResty's own word on our file in somebody else's, as a part of the least that it can be a part of.
pub async fn check_attached_openresty(
    wanted: &AttachedNginx<'_>,
    named: Option<&Path>,
    set: &Desired,
) -> Result<(), DriverError> {
    let named = named.map(|path| path.display().to_string());
    let found = program::find(named.as_deref()).await?;
    let settings = attached_openresty_settings(wanted)?;
    backchat_openresty::offline::check(&settings.config, &found, set, settings.limits.check).await
}

/// The same of one that does without Lua.
pub async fn check_attached_without_lua(
    wanted: &AttachedNginx<'_>,
    named: Option<&Path>,
    set: &Desired,
) -> Result<(), DriverError> {
    let program = openresty_without_lua(named).await?;
    check_attached_nginx(&AttachedNginx { program: &program, ..wanted.clone() }, set).await
}

/// The same of one that does without Lua.
pub async fn check_without_lua(wanted: &Managed<'_>, named: Option<&Path>, set: &Desired) -> Result<(), DriverError> {
    let program = openresty_without_lua(named).await?;
    check_nginx(&Managed { program: &program, ..wanted.clone() }, set).await
}
