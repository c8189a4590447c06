//! Whether somebody else listens where a HAProxy of ours is to: HAProxy shares its ports (`SO_REUSEPORT`), so two of
//! them would each get a part of the connections, and neither would notice.

use std::{fs, net::SocketAddr};

use crate::{paths::Paths, process::Process};

/// The first of these addresses that somebody else listens at; not a HAProxy on these paths.
pub fn taken(paths: &Paths, listen: &[SocketAddr]) -> Option<SocketAddr> {
    let ours = Process::any(paths).then(|| fs::read_to_string(&paths.config).unwrap_or_default());
    backchat_template::taken(ours.as_deref(), listen)
}
