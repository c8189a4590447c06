//! Which certificates one HAProxy shows: its own word on each, beside what our list on disk says. Pure.

use super::{Answers, Files};
use crate::{
    certificates::{self, CertFile, Certificates},
    protocol::{self, HeldCert},
};
use backchat_contract::{Certificate, Fingerprint};

/// What it holds. HAProxy tells the first of a chain alone. Where that is the one that we pushed into this process, or else
/// the one of our list, the chain is that one's, too: the list is written after a push. Anything else is known by its
/// first, and so the same as nothing that we would push.
pub(crate) fn live(answers: &Answers, files: Option<&Files>, pushed: Option<&Certificates>) -> Certificates {
    let held = |file: &CertFile| answers.held.get(file).and_then(|reply| protocol::certificate(reply));
    let listed = || files.map(|files| certificates::facts(&files.certificates)).unwrap_or_default();
    let facts = pushed.cloned().unwrap_or_else(listed);
    let said = certificates::default(&facts).map(|(name, _)| name);
    let default = held(&CertFile::Default).map(|held| held.leaf);
    let mut live = Certificates::new();
    for file in protocol::listed(&answers.certificates).unwrap_or_default() {
        let CertFile::Of(name) = &file else { continue };
        let Some(now) = held(&file) else { continue };
        let known = facts.get(name).filter(|fact| fact.leaf == now.leaf).cloned();
        let is_default = default == Some(now.leaf) && said == Some(name);
        let certificate = Certificate { default: is_default, ..known.unwrap_or_else(|| unknown(now)) };
        live.insert(name.clone(), certificate);
    }
    live
}

fn unknown(held: HeldCert) -> Certificate {
    let HeldCert { leaf, not_after } = held;
    let fingerprint = Fingerprint::unknown(leaf);
    Certificate { fingerprint, leaf, names: std::collections::BTreeSet::new(), not_after, default: false, pem: None }
}
