//! What the files say now, beside what they said when they were good last. Blocks on the disk.

use std::{collections::BTreeMap, fs, time::SystemTime};

use backchat_contract::{CertName, Certificate};

use super::{
    Own, Wanted,
    find::{Findings, Found, find},
    read::read,
};
use crate::model::{SOON, Shelf};

/// The most of one file: a chain and its key take a few thousand bytes.
const MOST: u64 = 1 << 20;

/// Reads the operator's certificates again and again.
#[derive(Debug)]
pub struct Loader {
    wanted: Wanted,
    known: BTreeMap<CertName, Known>,
    default: Option<CertName>,
}

/// One certificate's files, and the last good one that they said.
#[derive(Clone, Debug)]
struct Known {
    found: Found,
    good: Option<Certificate>,
    trouble: Option<String>,
}

impl Loader {
    /// Nothing is read yet.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, known: BTreeMap::new(), default: None }
    }

    /// Which files are there, as far as their outsides tell.
    pub(super) fn find(&self) -> Findings {
        find(&self.wanted.paths)
    }

    /// What there is to listen with now.
    pub fn load(&mut self, now: SystemTime) -> Shelf {
        let findings = self.find();
        self.take(findings, now)
    }

    /// One file that is broken changes nothing for the others, and its last good certificate stays.
    pub(super) fn take(&mut self, findings: Findings, now: SystemTime) -> Shelf {
        let Findings { found, first, mut troubles, unknown } = findings;
        let mut known: BTreeMap<_, _> = found
            .into_iter()
            .map(|(name, found)| {
                let before = self.known.remove(&name);
                (name, look(found, before, now))
            })
            .collect();
        // What cannot be looked into may hold what it held.
        let held = |known: &Known| unknown.iter().any(|path| known.found.chain.starts_with(path));
        let left = std::mem::take(&mut self.known);
        let none_is_left = self.wanted.own.is_none() && !known.values().any(|known| known.good.is_some());
        for (name, before) in left {
            if held(&before) {
                known.insert(name, before);
            } else if none_is_left && before.good.is_some() {
                let trouble = format!("{}: it is gone, and was the last: it is shown on", before.found.chain.display());
                known.insert(name, Known { trouble: Some(trouble), ..before });
            }
        }
        troubles.extend(known.values().filter_map(|known| known.trouble.clone()));
        self.known = known;
        let good = |(name, known): (&CertName, &Known)| Some((name.clone(), known.good.clone()?));
        let mut certificates: BTreeMap<_, _> = self.known.iter().filter_map(good).collect();
        self.retire(&mut certificates, &mut troubles, now);
        self.sign(&mut certificates, &mut troubles, now);
        self.mark_default(&mut certificates, first);
        troubles.sort();
        Shelf { certificates, troubles }
    }

    /// One that ends soon makes way for another that is for its hosts and ends later: of two for a host HAProxy and nginx
    /// show the first, however long it holds.
    fn retire(
        &mut self,
        certificates: &mut BTreeMap<CertName, Certificate>,
        troubles: &mut Vec<String>,
        now: SystemTime,
    ) {
        let soon = (now + SOON).duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let ending = certificates.iter().filter(|(_, old)| old.not_after < soon && !old.names.is_empty());
        let replaced = ending.filter_map(|(name, old)| {
            let instead = |new: &Certificate| new.not_after > old.not_after && new.names.is_superset(&old.names);
            let (new, _) = certificates.iter().filter(|(_, new)| instead(new)).max_by_key(|(_, new)| new.not_after)?;
            Some((name.clone(), new.clone()))
        });
        for (old, new) in replaced.collect::<Vec<_>>() {
            troubles.push(format!(
                "{old}: it ends soon, and {new}, which is for its hosts and ends later, is shown instead"
            ));
            certificates.remove(&old);
            if self.default.as_ref() == Some(&old) {
                self.default = Some(new);
            }
        }
    }

    fn sign(&self, certificates: &mut BTreeMap<CertName, Certificate>, troubles: &mut Vec<String>, now: SystemTime) {
        let Some(own) = &self.wanted.own else { return };
        match own.certificate(now) {
            Ok(certificate) => drop(certificates.insert(Own::name(), certificate)),
            Err(why) => troubles.push(why),
        }
    }

    /// The one that is signed here; else the one that it was, so that a newcomer changes nothing; else the first.
    fn mark_default(&mut self, certificates: &mut BTreeMap<CertName, Certificate>, first: Option<CertName>) {
        let own = self.wanted.own.as_ref().map(|_| Own::name());
        let wishes = [own, self.default.take(), first, certificates.keys().next().cloned()];
        self.default = wishes.into_iter().flatten().find(|name| certificates.contains_key(name));
        if let Some(certificate) = self.default.as_ref().and_then(|name| certificates.get_mut(name)) {
            certificate.default = true;
        }
    }
}

fn look(found: Found, before: Option<Known>, now: SystemTime) -> Known {
    if let Some(before) = before.as_ref().filter(|before| before.found == found) {
        return before.clone();
    }
    let before = before.and_then(|before| before.good);
    let file = found.chain.display().to_string();
    match taken(&found) {
        Ok(new) if new.expires() <= now && before.as_ref().is_some_and(|before| before.expires() > now) => {
            let trouble = Some(format!("{file}: it has expired already; the one before stays"));
            Known { found, good: before, trouble }
        }
        Ok(new) => Known { found, good: Some(new), trouble: None },
        Err(why) => {
            let meanwhile = if before.is_some() { "the one before stays" } else { "it is not shown" };
            Known { found, good: before, trouble: Some(format!("{file}: {why}; {meanwhile}")) }
        }
    }
}

fn taken(found: &Found) -> Result<Certificate, String> {
    let text = |path: &std::path::Path| {
        let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > MOST {
            return Err(format!("it has {length} bytes, and may have {MOST}"));
        }
        fs::read(path).map_err(|error| error.to_string())
    };
    let chain = text(&found.chain)?;
    let key = match text(&found.key) {
        Ok(key) => key,
        Err(why) => return Err(format!("its key {}: {why}", found.key.display())),
    };
    read(&chain, &key).map_err(|why| why.to_string())
}
