//! Data planes on paper: drivers whose data plane is a variable, for laws, snapshots and benchmarks of plans. What each
//! really takes and forgets is its own crate's to know.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    desired::EndpointId,
    driver::Driver,
    policy::{Balance, Canary, Pick, Policies, ServicePolicy},
};

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

/// Policies as an example: of the service `web`, whose canary is `Api`.
#[expect(clippy::missing_panics_doc, reason = "every word of it is one")]
pub fn policies() -> Policies {
    let own = Canary {
        service: "Api".parse().expect("a service's name"),
        tag: ("version".into(), "2".into()),
        pick: Pick::Share("5%".parse().expect("a share")),
    };
    let web = ServicePolicy {
        balance: Balance::LeastConn,
        maxconn: NonZeroU32::new(100),
        retries: Some(1),
        rate_limit: Some("100/s".parse().expect("a rate")),
        canaries: vec![own],
        ..ServicePolicy::DEFAULT
    };
    [("web".parse().expect("a service's name"), web)].into_iter().collect()
}
