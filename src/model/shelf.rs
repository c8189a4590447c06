//! The certificates that there are to listen with, and what is wrong with the files that they come from.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use backchat_contract::{CertName, Certificate};

/// Every certificate that can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    /// By name; one of them is the default, unless there is none.
    pub certificates: BTreeMap<CertName, Certificate>,
    /// What was not taken, why, and what holds meanwhile; a line for each file.
    pub troubles: Vec<String>,
}

/// How soon before its end a certificate is told of.
pub const SOON: Duration = Duration::from_secs(14 * 86_400);

/// How long a certificate holds yet: whole days, rounded down; `None` where it has expired.
pub fn days_left(certificate: &Certificate, now: SystemTime) -> Option<u64> {
    certificate.expires().duration_since(now).ok().map(|left| left.as_secs() / 86_400)
}
