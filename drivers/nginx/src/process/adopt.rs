//! The adoption of an nginx that an earlier daemon left serving. It is found by its title, not by its pid file: that may
//! be stale, and the check of a file makes an empty one.

use backchat_contract::DriverError;

use super::{Launch, Master};
use crate::titles;

pub(super) fn adopt(launch: &Launch) -> Result<Option<Master>, DriverError> {
    titles::master_of(&launch.config).map_or(Ok(None), Master::of)
}
