//! The certificates of the balancer's listeners: read from the operator's files, which are followed, and one that it
//! signs itself. What it hands on is whole: a certificate and the key that fits it.
//!
//! It must not know which data plane shows them.

mod find;
mod follow;
mod key;
mod load;
mod own;
mod read;
#[cfg(test)]
mod tests;

pub use self::{
    follow::follow,
    load::Loader,
    own::{Own, sign},
    read::{Unfit, read},
};

use std::path::PathBuf;

/// What the operator names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// The one that is signed here, if one is.
    pub own: Option<Own>,
}
