//! A service that a source lists without endpoints: it comes and goes by that word.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::*;
use crate::model::{Listed, Place, Policy, Protocol, SourceName, desired};

fn reason(action: Action, before: &Ledger, snapshot: &Snapshot) -> Reason {
    let snapshots = std::slice::from_ref(snapshot);
    let now = Duration::from_secs(5);
    let (next, ledger, _) = desired(snapshots, &Policy::default(), before, now);
    let in_flight = |_: &EndpointId| None;
    let known = Known {
        snapshots,
        next: &next,
        ours: None,
        ledger: &ledger,
        before,
        flapping: &[],
        in_flight: &in_flight,
        now,
    };
    let (kind, id, status) = (ChangeKind::Service, "hipache.a.io".to_owned(), ChangeStatus::Planned);
    let mut changes = [Change { kind, action, id, before: None, after: None, reason: None, status }];
    known.explain(&mut changes);
    let [Change { reason, .. }] = changes;
    reason.unwrap()
}

#[test]
fn a_listed_service_without_endpoints_is_listed() {
    let listed = Listed {
        place: Place::Key("frontend:a.io".into()),
        hosts: vec!["a.io".parse().unwrap()],
        path: "/".parse().unwrap(),
        protocol: Protocol::Http,
        endpoints: BTreeMap::new(),
    };
    let source: SourceName = "redis://r:6379".into();
    let services = BTreeMap::from([("hipache.a.io".parse().unwrap(), Arc::new(listed))]);
    let full = Snapshot { source: SourceName::clone(&source), synced: true, services, ..Snapshot::default() };
    let empty = Snapshot { source, synced: true, ..Snapshot::default() };
    let said = reason(Action::Add, &Ledger::default(), &full);
    assert_eq!((said.code, said.text.as_str()), ("listed", "redis://r:6379 frontend:a.io"));
    assert_eq!(said.node.as_deref(), Some("redis://r:6379"));
    let (_, before, _) = desired(std::slice::from_ref(&full), &Policy::default(), &Ledger::default(), Duration::ZERO);
    let said = reason(Action::Remove, &before, &empty);
    assert_eq!((said.code, said.text.as_str()), ("listed", "no longer listed"));
}
