//! Data planes on paper: drivers whose data plane is a variable, for laws, snapshots and benchmarks of plans. What each
//! really takes and forgets is its own crate's to know.

use std::time::Duration;

use crate::{desired::EndpointId, driver::Driver};

/// A driver whose data plane is a variable: it plans and shows what the real one does, and applies in no time.
pub trait OnPaper: Driver {
    /// Time passes: checks run, requests and workers of before end.
    fn pass(&mut self, time: Duration);

    /// Every endpoint has so many requests in flight that do not end by themselves.
    fn busy(&mut self, requests: u64);

    /// Somebody gives an endpoint another weight behind our back. Whether that can be done there without a reload.
    fn weigh(&mut self, id: &EndpointId, weight: u16) -> bool;

    /// Somebody writes into the file.
    fn edit(&mut self);

    /// The operator's settings are others from now on: another structure.
    fn alter(&mut self);

    /// The operator's template is another from now on. Nothing to one that is rendered in short.
    fn retemplate(&mut self, text: &str);
}
