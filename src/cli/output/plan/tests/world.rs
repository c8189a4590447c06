//! Members that one writes down in a line, and a balancer that has brought its data plane in step with them.

use std::time::Duration;

use backchat_contract::paper::OnPaper;
use tokio::time::{Instant, advance};

use crate::{
    admin::answers::Plan,
    model::{Kind, Ledger, Liveness, Member, Moment, RawOffer, RawRecord, Snapshot, Verdict},
    reconcile::{Rehearsal, Settings},
};

/// A member that offers services: `web`, `web*50`, `api@shop.example.com`.
pub(super) fn member(name: &str, host: u8, offers: &str) -> Member {
    let offer = |word: &str| {
        let (word, host) = word.split_once('@').map_or((word, None), |(word, host)| (word, Some(host)));
        let (service, weight) = word.split_once('*').unwrap_or((word, "100"));
        RawOffer {
            name: service.into(),
            port: 8080,
            hosts: host.map(str::to_owned).into_iter().collect(),
            path: None,
            weight: Some(weight.parse().unwrap()),
            protocol: None,
            healthy: true,
        }
    };
    let record = RawRecord {
        node: name.into(),
        epoch: 1,
        version: 1,
        services: offers.split_whitespace().map(offer).collect(),
        ..RawRecord::default()
    };
    Member {
        name: name.parse().unwrap(),
        epoch: 1,
        addr: ([10, 0, 0, host], 7946).into(),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Moment::ZERO,
        record: Some(record),
        refused: None,
    }
}

/// What gossip knows of these, and of the balancer itself.
pub(super) fn snapshot(members: &[Member]) -> Snapshot {
    let mut proxy = member("proxy", 250, "");
    proxy.record.as_mut().unwrap().kind = Kind::Balancer;
    let members = members.iter().cloned().chain([proxy]).map(|m| (m.name.clone(), m)).collect();
    Snapshot { source: "gossip".into(), synced: true, members, ..Snapshot::default() }
}

/// A balancer beside a data plane on paper.
pub(super) struct World<D: OnPaper>(Rehearsal<D>, Instant);

impl<D: OnPaper> World<D> {
    pub(super) fn new(paper: D) -> Self {
        let start = Instant::now();
        Self(Rehearsal::new(paper, Settings::default(), Ledger::default(), start), start)
    }

    /// Now, as members say it.
    pub(super) fn now(&self) -> Moment {
        self.1.elapsed()
    }

    pub(super) fn paper(&mut self) -> &mut D {
        self.0.driver()
    }

    /// The balancer does its work until nothing is left of it, and half a minute passes.
    pub(super) async fn settle(&mut self, members: &[Member]) {
        for _ in 0..30 {
            self.0.act(&[snapshot(members)]).await.unwrap();
            advance(Duration::from_secs(1)).await;
            self.paper().pass(Duration::from_secs(1));
        }
    }

    /// One step of the balancer, and no time.
    pub(super) async fn act(&mut self, members: &[Member]) {
        self.0.act(&[snapshot(members)]).await.unwrap();
    }

    /// The plan of this moment, a little later.
    pub(super) async fn plan(&mut self, members: &[Member]) -> Plan {
        let proposal = self.0.propose(&[snapshot(members)]).await.unwrap();
        Plan::new("proxy", &proposal, proposal.observed_at + Duration::from_millis(200))
    }
}

/// Something to do for each data plane on paper, by our own templates.
macro_rules! for_each_paper {
    (|$name:ident, $paper:ident, $template:ident| $body:expr) => {{
        use crate::drivers::{BALANCER, HAPROXY_TEMPLATE, NGINX_TEMPLATE, OPENRESTY_TEMPLATE};
        {
            let ($name, $template) = ("haproxy", HAPROXY_TEMPLATE);
            let $paper = || backchat_haproxy::paper::Paper::by(HAPROXY_TEMPLATE);
            $body
        }
        {
            let ($name, $template) = ("nginx", NGINX_TEMPLATE);
            let $paper = || backchat_nginx::paper::Paper::by(NGINX_TEMPLATE);
            $body
        }
        {
            let ($name, $template) = ("openresty", OPENRESTY_TEMPLATE);
            let $paper = || backchat_openresty::paper::Paper::by(OPENRESTY_TEMPLATE, BALANCER);
            $body
        }
    }};
}

pub(super) use for_each_paper;
