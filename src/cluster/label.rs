//! The label of a cluster: two clusters with different labels never mix, even with the same key.

use std::{fmt, str::FromStr};

use crate::model::{NameError, ServiceName};

/// A cluster's label: 1 to 64 of `A-Za-z0-9_.-`, the first a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterLabel(ServiceName);

impl ClusterLabel {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for ClusterLabel {
    fn default() -> Self {
        Self("default".parse().expect("seven letters are a name"))
    }
}

impl FromStr for ClusterLabel {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ClusterLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
