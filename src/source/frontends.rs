//! Hipache's keys as a source's snapshot: `frontend:HOST` lists a name and backends, `dead:HOST` those that failed.
//!
//! Each frontend is a service of its own, `hipache.HOST`; one whose only backend is `backchat:NAME` is a further host of
//! the service NAME, whoever offers that. Which store the keys come from is not known here. Pure and total: what cannot
//! be taken is a rejection with its key, and leaves all others alone.

mod backend;
mod frontend;
mod marks;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backchat_contract::HostPattern;

use self::frontend::Frontend;
pub(super) use self::marks::Marks;
use crate::model::{EndpointId, FRONTEND, Listed, Place, Rejection, ServiceName, Snapshot, SourceName, words::escaped};

/// What a key `frontend:HOST` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// There is none.
    Nothing,
    /// A name, and backends.
    List(Vec<String>),
    /// Something that is no such list, and why.
    Unfit(String),
}

/// What was read of some keys: a host and what its key holds now.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// What `frontend:HOST` holds.
    pub(super) lists: Vec<(String, Holds)>,
    /// The marks of `dead:HOST`; none where the key is gone.
    pub(super) dead: Vec<(String, BTreeSet<usize>)>,
}

/// All frontends of a store, and what they come to.
#[derive(Debug)]
pub(super) struct Frontends {
    source: SourceName,
    /// What stands before `frontend:` in each key.
    prefix: String,
    /// By what stands in the key, which may be in another case than the host.
    by_key: BTreeMap<Arc<str>, Frontend>,
    /// The keys of each host: the first has it.
    keys: BTreeMap<HostPattern, BTreeSet<Arc<str>>>,
    marks: Marks,
    /// Whether the marks are to be looked at anew: one is another, or there is another frontend that they may be about.
    is_remarked: bool,
    /// The marks by the frontend that they are about.
    marked: BTreeMap<HostPattern, BTreeSet<usize>>,
    /// The frontends whose only backend is that service.
    guests: BTreeMap<ServiceName, BTreeSet<HostPattern>>,
    /// The same the other way.
    homes: BTreeMap<HostPattern, ServiceName>,
    services: BTreeMap<ServiceName, Arc<Listed>>,
    refused: BTreeMap<Arc<str>, Vec<Rejection>>,
}

/// A backend as a mark names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    /// The host of its frontend.
    pub(super) host: String,
    /// Its place in the list, from 0.
    pub(super) id: usize,
    /// How it is written there.
    pub(super) url: String,
    /// How many the list has.
    pub(super) len: usize,
}

impl Frontends {
    /// None yet, of this source; their keys begin with the prefix.
    pub(super) fn new(source: SourceName, prefix: &str) -> Self {
        Self {
            source,
            prefix: prefix.to_owned(),
            by_key: BTreeMap::new(),
            keys: BTreeMap::new(),
            marks: Marks::default(),
            is_remarked: false,
            marked: BTreeMap::new(),
            guests: BTreeMap::new(),
            homes: BTreeMap::new(),
            services: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// How many keys `frontend:HOST` are known, those that cannot be taken among them.
    pub(super) fn known(&self) -> usize {
        self.by_key.len()
    }

    /// Why what all keys hold now is not to be taken, if so: where several frontends were known and there is none any
    /// more, the store has more likely lost its disk than they their hosts.
    pub(super) fn emptied(&self, read: &Read) -> Option<String> {
        let known = self.known();
        let is_so = read.lists.is_empty() && known > 1;
        is_so.then(|| format!("there is no key {} any more, of {known} that there were", self.key("*")))
    }

    /// Takes what all keys hold now: what is not among them is gone.
    pub(super) fn replace(&mut self, read: Read) {
        let there: BTreeSet<&str> = read.lists.iter().map(|(key, _)| key.as_str()).collect();
        let gone =
            self.by_key.keys().filter(|key| !there.contains(&***key)).map(|key| (key.to_string(), Holds::Nothing));
        let lists: Vec<_> = gone.collect::<Vec<_>>().into_iter().chain(read.lists).collect();
        self.marks = Marks::default();
        self.is_remarked = true;
        self.apply(Read { lists, dead: read.dead });
    }

    /// Takes what these keys hold now; all others are as they were.
    pub(super) fn apply(&mut self, read: Read) {
        let mut stale = BTreeSet::new();
        for (key, list) in read.lists {
            stale.extend(self.put(&key, &list).into_iter().flatten());
        }
        for (host, ids) in read.dead {
            self.is_remarked |= self.marks.put(&host, ids);
        }
        stale.extend(self.remark());
        // Of one service there may be as many hosts as there are keys: it is built once.
        let homes: BTreeSet<_> = stale.iter().flat_map(|host| self.rebuild(host)).collect();
        for home in homes {
            self.rebuild_guests(&home);
        }
    }

    /// Finds which frontends the marks are about, where that may be another than before; those that have others now.
    fn remark(&mut self) -> Vec<HostPattern> {
        if !std::mem::take(&mut self.is_remarked) {
            return Vec::new();
        }
        let keys = &self.keys;
        let marked = self.marks.by_frontend(|host| keys.contains_key(host));
        let hosts = marked.keys().chain(self.marked.keys());
        let others = hosts.filter(|host| marked.get(host) != self.marked.get(host)).cloned().collect();
        self.marked = marked;
        others
    }

    /// What the source knows by it.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            source: SourceName::clone(&self.source),
            synced: true,
            services: self.services.clone(),
            refused: self.refused.values().flatten().cloned().chain(self.too_many_marks()).collect(),
            ..Snapshot::default()
        }
    }

    /// The backend that an endpoint stands for; `None` where it is not of a frontend for one host, or the only one there:
    /// such marks Hipache does not make.
    pub(super) fn backend(&self, id: &EndpointId) -> Option<Backend> {
        let place = &self.services.get(&id.service)?.endpoints.get(&id.endpoint)?.place;
        let key = place.key()?.strip_prefix(&self.prefix)?.strip_prefix("frontend:")?;
        let frontend = self.by_key.get(key)?;
        let HostPattern::Exact(host) = frontend.host.as_ref().ok()? else { return None };
        let (at, url) = frontend.find(&id.endpoint)?;
        let len = frontend.len();
        (len > 1).then(|| Backend { host: host.clone(), id: at, url: url.to_owned(), len })
    }

    /// Of these endpoints, known to fail, the backends that nobody has marked yet.
    pub(super) fn unmarked(&self, down: &BTreeSet<EndpointId>) -> Vec<Backend> {
        let backends = down.iter().filter_map(|id| self.backend(id));
        backends.filter(|backend| !self.marks.has(&backend.host, backend.id)).collect()
    }

    /// Keeps what a key holds, if anything; the hosts that are to be built anew.
    fn put(&mut self, key: &str, holds: &Holds) -> [Option<HostPattern>; 2] {
        let before = self.by_key.remove(key);
        let next = match holds {
            Holds::Nothing => None,
            Holds::List(list) => Some(Frontend::new(key, list)),
            Holds::Unfit(why) => Some(before.as_ref().map_or_else(|| Frontend::unfit(key, why), |b| b.spoilt(why))),
        };
        if before == next {
            self.by_key.extend(next.map(|next| (key.into(), next)));
            return [None, None];
        }
        self.refused.remove(key);
        let host = |frontend: &Option<Frontend>| frontend.as_ref().and_then(|frontend| frontend.host.clone().ok());
        let (left, joined) = (host(&before), host(&next));
        let is_moved = left != joined;
        if let Some(left) = &left
            && let Some(others) = self.keys.get_mut(left)
        {
            others.remove(key);
            if others.is_empty() {
                self.keys.remove(left);
                self.is_remarked |= is_moved;
            }
        }
        if let Some(next) = next {
            let key: Arc<str> = key.into();
            match &next.host {
                Ok(host) => {
                    let keys = self.keys.entry(host.clone()).or_default();
                    self.is_remarked |= is_moved && keys.is_empty();
                    keys.insert(Arc::clone(&key));
                }
                Err(why) => {
                    self.refused.insert(Arc::clone(&key), vec![self.rejection(&key, "frontend", why.clone())]);
                }
            }
            self.by_key.insert(key, next);
        }
        [left, joined]
    }

    /// Builds what a host's frontend comes to; the services of others that gain or lose it.
    fn rebuild(&mut self, host: &HostPattern) -> Vec<ServiceName> {
        let own = service_name(host);
        let left = self.homes.remove(host);
        if let Some(guests) = left.as_ref().and_then(|home| self.guests.get_mut(home)) {
            guests.remove(host);
        }
        self.services.remove(&own);
        let first = self.judge(host);
        let frontend = first.as_ref().and_then(|key| Some((key, self.by_key.get(key)?)));
        let mut joined = None;
        if let Some((key, frontend)) = frontend {
            joined = frontend.guest_of().cloned();
            if joined.is_none() {
                let place = Place::Key(self.key(key).into());
                let marked = self.marked.get(host);
                let listed = frontend.listed(&place, host, |id| marked.is_some_and(|marked| marked.contains(&id)));
                self.services.insert(own, Arc::new(listed));
            }
        }
        if let Some(home) = &joined {
            self.guests.entry(home.clone()).or_default().insert(host.clone());
            self.homes.insert(host.clone(), home.clone());
        }
        left.into_iter().chain(joined).collect()
    }

    /// The key that has a host: the one that is spelled as hosts are compared, else the first. What of each key cannot be
    /// taken is said anew.
    fn judge(&mut self, host: &HostPattern) -> Option<Arc<str>> {
        let keys = self.keys.get(host).cloned().unwrap_or_default();
        let spelled = host.to_string();
        let first = keys.iter().find(|key| ***key == *spelled).or(keys.first()).cloned();
        for key in &keys {
            let beaten = first.as_ref().filter(|first| *first != key);
            let refused = match beaten {
                Some(first) => {
                    let why = format!("{} names the same host, and has it", self.key(first));
                    vec![self.rejection(key, "frontend", why)]
                }
                None => self.refusals(key),
            };
            if refused.is_empty() {
                self.refused.remove(key)
            } else {
                self.refused.insert(Arc::clone(key), refused)
            };
        }
        first
    }

    /// A service of others, with the hosts that frontends give it.
    fn rebuild_guests(&mut self, home: &ServiceName) {
        let hosts = self.guests.get(home).filter(|hosts| !hosts.is_empty());
        let Some(first) = hosts.and_then(|hosts| hosts.first()) else {
            self.guests.remove(home);
            self.services.remove(home);
            return;
        };
        let place = Place::Key(self.key(&first.to_string()).into());
        let hosts = hosts.into_iter().flatten().cloned().collect();
        let listed = Listed {
            place,
            hosts,
            path: "/".parse().expect("the root is a path"),
            protocol: crate::model::Protocol::Http,
            endpoints: BTreeMap::new(),
        };
        self.services.insert(home.clone(), Arc::new(listed));
    }

    fn refusals(&self, key: &Arc<str>) -> Vec<Rejection> {
        let Some(frontend) = self.by_key.get(key) else { return Vec::new() };
        let code = if frontend.is_fit { "backend" } else { "frontend" };
        frontend.refused.iter().map(|why| self.rejection(key, code, why.clone())).collect()
    }

    fn key(&self, host: &str) -> String {
        format!("{}frontend:{host}", self.prefix)
    }

    /// What is said where more hosts are marked than are kept.
    fn too_many_marks(&self) -> Option<Rejection> {
        self.marks.is_cut().then(|| Rejection {
            node: self.source.to_string(),
            subject: format!("{}dead:*", self.prefix),
            service: None,
            why: format!("more than {} hosts are marked: those beyond are passed over", marks::HOSTS_MAX),
            code: "mark",
        })
    }

    fn rejection(&self, key: &str, code: &'static str, why: String) -> Rejection {
        // A key may be of any bytes, and an operator reads it in his log.
        let subject = escaped(&self.key(key), 200);
        let service = self.by_key.get(key).and_then(|f| f.host.as_ref().ok()).map(service_name);
        Rejection { node: self.source.to_string(), subject, service, why, code }
    }
}

/// The service that stands for a frontend. The longest hosts are longer than a service's name: of these a part, and the
/// digest of all; what follows `_` there, or the star that it stands for, is in no host, so that no two share a name.
fn service_name(host: &HostPattern) -> ServiceName {
    use sha2::Digest;
    let host = host.to_string();
    let text = format!("{FRONTEND}{}", host.replace('*', "_"));
    let name = text.parse().or_else(|_| {
        let digest = hex::encode(sha2::Sha256::digest(host.as_bytes()));
        format!("{text:.47}_{digest:.16}").parse()
    });
    name.expect("a host is of letters, digits, hyphens and dots")
}

#[cfg(test)]
mod tests;
