//! Without a data plane that runs, and without a cluster: what files list as one set, that set as the data plane's files,
//! and the engine's own check of them. Nothing is bound, nothing is written but in a private folder.

use std::path::Path;

use backchat_contract::{Desired, DriverError};

use super::{Error, certificates, lb, rehearsal};
use crate::{
    admin::Token,
    cluster::Keyring,
    drivers::{self, offline},
    model::{Ledger, Moment, Rejection, desired},
    settings::{Common, KeySource, Lb, OpenrestyMode, Plane},
    source::Uri,
};

/// A set that has a bit of everything: what a template must be able to say.
const EXAMPLE: &str = include_str!("offline/example.toml");

/// What a set was rendered to.
pub use offline::File;

/// The example that templates are tried by.
///
/// # Panics
/// Never: a test reads it.
pub fn example() -> Desired {
    toml::from_str(EXAMPLE).expect("the example is one of ours")
}

/// What the sources but gossip list, as one set; and what of it is not taken. Stores are asked.
///
/// # Errors
/// Where one cannot be read, or something in it cannot be meant.
pub async fn listed(settings: &Lb) -> Result<(Desired, Vec<Rejection>), Error> {
    listed_by(settings, &settings.sources.uris).await
}

/// The same of the files alone: nobody is asked.
///
/// # Errors
/// Where one cannot be read, or something in it cannot be meant.
pub async fn listed_in_files(settings: &Lb) -> Result<(Desired, Vec<Rejection>), Error> {
    let files: Vec<_> = settings.sources.uris.iter().filter(|uri| matches!(uri, Uri::File(..))).cloned().collect();
    listed_by(settings, &files).await
}

async fn listed_by(settings: &Lb, sources: &[Uri]) -> Result<(Desired, Vec<Rejection>), Error> {
    let snapshots = rehearsal::loaded(sources).await?;
    let policy = lb::loop_settings(settings).policy;
    let (set, _, refused) = desired(&snapshots, &policy, &Ledger::default(), Moment::ZERO);
    Ok((set, refused))
}

/// Whether the key file is one.
///
/// # Errors
/// Where it cannot be read, is readable by others, or holds no key.
pub fn key(common: &Common) -> Result<(), Error> {
    match &common.key {
        KeySource::File(path) => Ok(Keyring::load(path).map(drop)?),
        KeySource::Clear => Ok(()),
    }
}

/// Whether the token file is one, where there is one.
///
/// # Errors
/// Where it cannot be read, is readable by others, or holds no token.
pub fn token(common: &Common) -> Result<(), Error> {
    Ok(common.admin_token_file.as_deref().map(Token::load).transpose().map(drop)?)
}

/// The set as the data plane's files, once all of it is up.
///
/// # Errors
/// Where the template does not render it, or the data plane has no file of ours.
pub async fn files(settings: &Lb, set: &Desired) -> Result<Vec<File>, Error> {
    let set = &with_certificates(settings, set).await?;
    Ok(match &settings.plane {
        Plane::Haproxy { managed, spares } => offline::haproxy(&lb::wanted(managed, settings), (*spares).into(), set)?,
        Plane::Nginx { managed } => offline::nginx(&lb::wanted(managed, settings), set)?,
        Plane::AttachedNginx(theirs) => offline::attached_nginx(&lb::attached(theirs, settings), set)?,
        Plane::Openresty { managed, is_named, mode } => {
            let wanted = lb::wanted(managed, settings);
            match mode {
                OpenrestyMode::Lua => offline::openresty(&wanted, is_named.then_some(wanted.program), set).await?,
                OpenrestyMode::Reload => offline::nginx(&wanted, set)?,
            }
        }
        Plane::AttachedOpenresty { theirs, mode, .. } => {
            let wanted = lb::attached(theirs, settings);
            match mode {
                OpenrestyMode::Lua => offline::attached_openresty(&wanted, set)?,
                OpenrestyMode::Reload => offline::attached_nginx(&wanted, set)?,
            }
        }
        Plane::AttachedHaproxy { .. } => return Err(no_file()),
    })
}

/// Has the engine itself check the set's files, in a folder of this call's own.
///
/// # Errors
/// Where it refuses them, or is not there.
pub async fn check(settings: &Lb, set: &Desired) -> Result<(), Error> {
    let made = tempfile::Builder::new().prefix("backchat-check-").tempdir();
    let folder = made.map_err(|source| Error::RunDir { path: std::env::temp_dir().display().to_string(), source })?;
    let set = with_certificates(settings, set).await?;
    Ok(engine(settings, folder.path(), &set).await?)
}

async fn with_certificates(settings: &Lb, set: &Desired) -> Result<Desired, Error> {
    let shelf = certificates::glance(settings).await?.map(certificates::Loaded::shelf);
    Ok(Desired { certificates: shelf.unwrap_or_default().certificates, ..set.clone() })
}

async fn engine(settings: &Lb, folder: &Path, set: &Desired) -> Result<(), DriverError> {
    // nginx makes the file at a check already.
    let file = folder.join("access.log");
    let access = settings.access.as_ref().map(|access| (file.as_path(), &access.format));
    match &settings.plane {
        Plane::Haproxy { managed, spares } => {
            let wanted = drivers::Managed { run_dir: folder, access, ..lb::wanted(managed, settings) };
            offline::check_haproxy(&wanted, (*spares).into(), set).await
        }
        Plane::Nginx { managed } => {
            let wanted = drivers::Managed { run_dir: folder, access, ..lb::wanted(managed, settings) };
            offline::check_nginx(&wanted, set).await
        }
        Plane::AttachedNginx(theirs) => {
            let wanted = drivers::AttachedNginx { run_dir: folder, access, ..lb::attached(theirs, settings) };
            offline::check_attached_nginx(&wanted, set).await
        }
        Plane::Openresty { managed, is_named, mode } => {
            let wanted = drivers::Managed { run_dir: folder, access, ..lb::wanted(managed, settings) };
            let named = is_named.then_some(wanted.program);
            match mode {
                OpenrestyMode::Lua => offline::check_openresty(&wanted, named, set).await,
                OpenrestyMode::Reload => offline::check_without_lua(&wanted, named, set).await,
            }
        }
        Plane::AttachedOpenresty { theirs, is_named, mode } => {
            let wanted = drivers::AttachedNginx { run_dir: folder, access, ..lb::attached(theirs, settings) };
            let named = is_named.then_some(wanted.program);
            match mode {
                OpenrestyMode::Lua => offline::check_attached_openresty(&wanted, named, set).await,
                OpenrestyMode::Reload => offline::check_attached_without_lua(&wanted, named, set).await,
            }
        }
        Plane::AttachedHaproxy { .. } => Ok(()),
    }
}

fn no_file() -> Error {
    Error::Driver(DriverError::Unsupported("an attached HAProxy has a file of its own: nothing is rendered".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndpointState, HostPattern, Protocol};

    /// Whatever a template may have to say is in it.
    #[test]
    fn the_example_has_a_bit_of_everything() {
        let set = example();
        let services = || set.services.values();
        assert!(services().any(|s| s.endpoints.is_empty()) && services().any(|s| s.protocol == Protocol::Tcp));
        assert!(set.endpoints().any(|(_, e)| e.state == EndpointState::Drain));
        assert!(
            set.endpoints().any(|(_, e)| e.weight.get() == 0) && set.endpoints().any(|(_, e)| e.addr.get().is_ipv6())
        );
        let hosts = || set.routes.keys().map(|route| &route.host);
        assert!(hosts().any(|host| matches!(host, HostPattern::Exact(_))));
        assert!(
            hosts().any(|host| matches!(host, HostPattern::Wildcard(_)))
                && hosts().any(|host| *host == HostPattern::Any)
        );
        assert!(set.routes.keys().any(|route| route.path.as_str() != "/"));
        assert!(set.routes.values().all(|service| set.services.contains_key(service)));
    }
}
