//! Which generation each worker was started with: a worker of an earlier one may still have requests with a server that
//! takes no new ones. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::titles::Child;

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Its pid.
    pub pid: u32,
    /// The generation that it was started with; 0 where that is not known.
    pub born: u64,
    /// Whether it only ends what it has.
    pub retiring: bool,
}

/// What is known of the workers that live.
#[derive(Clone, Debug, Default)]
pub struct Ages(BTreeMap<u32, u64>);

impl Ages {
    /// Takes note of who lives while `running` answers; forgets who does not.
    ///
    /// One that retires while its own generation runs was retired by somebody else, or has been taken for younger than
    /// it is: it counts as old.
    pub fn note(&mut self, children: &[Child], running: Option<u64>) -> Vec<Worker> {
        let worker = |child: &Child| {
            let known = self.0.get(&child.pid).copied();
            let born = match (known, child.retiring) {
                (Some(born), true) if Some(born) == running => 0,
                (Some(born), _) => born,
                (None, true) => 0,
                (None, false) => running.unwrap_or(0),
            };
            Worker { pid: child.pid, born, retiring: child.retiring }
        };
        let workers: Vec<Worker> = children.iter().map(worker).collect();
        self.0 = workers.iter().map(|w| (w.pid, w.born)).collect();
        workers
    }

    /// Whether the workers that serve are others than those that were noted: somebody else has reloaded, or one died.
    pub fn are_strange(&self, children: &[Child]) -> bool {
        !self.0.is_empty() && children.iter().any(|child| !child.retiring && !self.0.contains_key(&child.pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ages: &mut Ages, children: &[(u32, bool)], running: Option<u64>, expected: &[(u32, u64)]) {
        let children: Vec<_> =
            children.iter().map(|(pid, retiring)| Child { pid: *pid, retiring: *retiring }).collect();
        let workers = ages.note(&children, running);
        assert_eq!(workers.iter().map(|w| (w.pid, w.born)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_worker_keeps_its_generation_until_it_ends() {
        let mut ages = Ages::default();
        check(&mut ages, &[(10, false), (11, false)], Some(3), &[(10, 3), (11, 3)]);
        check(&mut ages, &[(10, true), (11, true), (12, false)], Some(4), &[(10, 3), (11, 3), (12, 4)]);
        check(&mut ages, &[(11, true), (12, true), (13, false)], Some(5), &[(11, 3), (12, 4), (13, 5)]);
        // The number comes again.
        check(&mut ages, &[(13, false)], Some(5), &[(13, 5)]);
        check(&mut ages, &[(11, false), (13, true)], Some(6), &[(11, 6), (13, 5)]);
    }

    #[test]
    fn who_is_not_known_is_old() {
        let mut ages = Ages::default();
        check(&mut ages, &[(10, true), (11, false)], Some(7), &[(10, 0), (11, 7)]);
        check(&mut ages, &[(11, true), (12, false)], Some(7), &[(11, 0), (12, 7)]);
        check(&mut ages, &[(12, false), (13, false)], None, &[(12, 7), (13, 0)]);
    }

    #[test]
    fn strangers_are_told() {
        let mut ages = Ages::default();
        let child = |pid, retiring| Child { pid, retiring };
        assert!(!ages.are_strange(&[child(1, false)]));
        ages.note(&[child(1, false)], Some(1));
        assert!(!ages.are_strange(&[child(1, false)]) && !ages.are_strange(&[child(1, true), child(2, true)]));
        assert!(ages.are_strange(&[child(1, true), child(2, false)]));
    }
}
