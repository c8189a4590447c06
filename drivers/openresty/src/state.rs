//! What the admin server answers: which rendering runs, which table it serves, and what is in flight. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    net::SocketAddr,
    sync::Arc,
};

use backchat_contract::EndpointId;

use crate::{
    push::Place,
    table::{self, Patch, Table, TableError},
};

/// What was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// One life of the shared memory: another after a restart, and after its size has changed.
    pub boot: String,
    /// Which table that life is at; 0 where it has none yet.
    pub version: u64,
    /// nginx's version, `1.22.1`.
    pub nginx: String,
    /// Which rendering of the file runs.
    pub generation: u64,
    /// The hash of that rendering.
    pub structure: String,
    /// How many bytes the shared memory of the table has.
    pub capacity: u64,
    /// The workers that live and count here; one of before a resize counts elsewhere.
    pub workers: BTreeSet<u32>,
    /// Requests in flight of workers that live; who is not in it has none.
    pub flights: BTreeMap<EndpointId, u64>,
    /// Whether some counter was lost: then nobody is known to have none.
    pub lost: bool,
    /// Servers that failed a moment ago, and get nothing while there is another.
    pub down: BTreeSet<SocketAddr>,
    /// How many patches of it lie behind a table that was pushed as a whole.
    pub patches: u64,
    /// What is served; `None` where nothing was ever pushed.
    pub table: Option<Arc<Table>>,
}

/// Why an answer is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A line that says nothing we know.
    #[error("'{0}' says nothing known")]
    Line(String),
    /// Something that each answer says.
    #[error("it does not say its {0}")]
    Missing(&'static str),
    /// The table itself.
    #[error("its table, {0}")]
    Table(#[from] TableError),
}

/// What `show` in `balancer.lua` writes.
pub fn decode(text: &str) -> Result<State, StateError> {
    decode_by(text, None)
}

/// The same where the one who answers was told which table is `known`: it need not say that one again.
pub fn decode_by(text: &str, known: Option<&Known>) -> Result<State, StateError> {
    let (head, table) = split(text)?;
    let mut words: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut workers, mut flights, mut down) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    for line in head.lines() {
        let unknown = || StateError::Line(line.chars().take(80).collect());
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "flight" => {
                let (id, count) = rest.split_once(' ').ok_or_else(unknown)?;
                let count = count.parse().map_err(|_| unknown())?;
                flights.insert(table::endpoint_id(id).ok_or_else(unknown)?, count);
            }
            "worker" => drop(workers.insert(rest.parse().map_err(|_| unknown())?)),
            "down" => drop(down.insert(rest.parse().map_err(|_| unknown())?)),
            _ => drop(words.insert(word, rest)),
        }
    }
    let said = |name| words.get(name).copied().ok_or(StateError::Missing(name));
    let number = |name| said(name)?.parse().map_err(|_| StateError::Missing(name));
    if said("backchat")? != "1" {
        return Err(StateError::Line(format!("backchat {}", said("backchat")?)));
    }
    Ok(State {
        boot: said("boot")?.to_owned(),
        version: number("version")?,
        nginx: said("nginx")?.to_owned(),
        generation: number("generation")?,
        structure: said("structure")?.to_owned(),
        capacity: number("capacity")?,
        patches: number("patches")?,
        lost: words.contains_key("lost"),
        workers,
        flights,
        down,
        table: match table {
            Said::None => None,
            Said::Table(text) => Some(served(text, known)?),
            Said::Same => Some(Arc::clone(&known.ok_or(StateError::Missing("table"))?.table)),
        },
    })
}

/// A table that was read of one life of the shared memory. There each version is another table, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which life.
    pub boot: String,
    /// The table.
    pub table: Arc<Table>,
}

impl Known {
    /// As it is named to the one who has it.
    pub fn name(&self) -> String {
        Place { boot: self.boot.clone(), version: self.table.version, capacity: 0 }.name()
    }
}

impl State {
    /// The table that is there, without what it says.
    pub fn place(&self) -> Place {
        Place { boot: self.boot.clone(), version: self.version, capacity: self.capacity }
    }
}

/// What is said of the table.
enum Said<'a> {
    None,
    Same,
    /// A table with its patches, or the patches that the one who asks does not know.
    Table(&'a str),
}

/// The table that a text with its patches comes to.
fn served(text: &str, known: Option<&Known>) -> Result<Arc<Table>, StateError> {
    // No other line begins so.
    let starts = text.match_indices("\npatch ").map(|(at, _)| at + 1);
    let starts: Vec<usize> = iter::once(0).chain(starts).chain([text.len()]).collect();
    let mut pieces = starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).peekable();
    let mut table = match pieces.next_if(|piece| piece.starts_with("table ")) {
        Some(whole) => Arc::new(table::decode(whole)?),
        None => Arc::clone(&known.ok_or(StateError::Missing("table"))?.table),
    };
    for patch in pieces {
        Patch::decode(patch)?.amend(Arc::make_mut(&mut table))?;
    }
    Ok(table)
}

/// The lines of the state, and the table behind them.
fn split(text: &str) -> Result<(&str, Said<'_>), StateError> {
    for (line, said) in [("\nnone\n", Said::None), ("\nsame\n", Said::Same)] {
        if let Some(head) = text.strip_suffix(line) {
            return Ok((head, said));
        }
    }
    let at = text.find("\ntable ").or_else(|| text.find("\npatch ")).ok_or(StateError::Missing("table"))? + 1;
    Ok((&text[..at], Said::Table(&text[at..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "backchat 1\nboot 0a1b\nversion 3\nnginx 1.22.1\ngeneration 2\nstructure abc\ncapacity 65536\n\
        patches 0\nworker 71\nflight web/web1 4\ndown 10.0.0.7:80\ntable 3\nservice web http\nend 3\n";

    #[test]
    fn an_answer_is_read() {
        let state = decode(ANSWER).unwrap();
        assert_eq!((&*state.boot, state.version, state.generation, &*state.structure), ("0a1b", 3, 2, "abc"));
        assert_eq!((&*state.nginx, state.capacity, state.lost), ("1.22.1", 65536, false));
        assert_eq!(state.workers, BTreeSet::from([71]));
        assert_eq!(state.flights.get(&table::endpoint_id("web/web1").unwrap()), Some(&4));
        assert!(state.down.contains(&"10.0.0.7:80".parse().unwrap()));
        assert_eq!(state.table.unwrap().set.services.len(), 1);
        let before = ANSWER.split("table").next().unwrap();
        assert_eq!(decode(&format!("{before}lost\nnone\n")).map(|s| (s.lost, s.table)), Ok((true, None)));
    }

    /// Only for one who has it: who has nothing is refused, and reads all of it the next time.
    #[test]
    fn a_table_that_is_known_need_not_be_said() {
        let state = decode(ANSWER).unwrap();
        let known = Known { boot: state.boot.clone(), table: state.table.clone().unwrap() };
        assert_eq!(known.name(), "0a1b-3");
        let same = ANSWER.split("table").next().unwrap().to_owned() + "same\n";
        assert_eq!(decode_by(&same, Some(&known)), Ok(state));
        assert_eq!(decode(&same), Err(StateError::Missing("table")));
    }

    /// Behind a table, or by themselves for one who has the table.
    #[test]
    fn patches_are_read() {
        let state = decode(ANSWER).unwrap();
        let known = Known { boot: state.boot.clone(), table: state.table.unwrap() };
        let patches = "patch 4\nservice web http\nendpoint web/a 10.0.0.7:80 100 ready\nend 4\n\
            patch 5\nservice web http\nend 3\npatch 6\nservice web http\nendpoint web/b 10.0.0.8:80 100 ready\nend 4\n";
        let head = ANSWER.split("table").next().unwrap();
        let whole = decode(&format!("{ANSWER}{patches}")).unwrap().table.unwrap();
        assert_eq!((whole.version, whole.set.endpoints().count()), (6, 1));
        assert_eq!(decode_by(&format!("{head}{patches}"), Some(&known)).unwrap().table, Some(whole));
        assert_eq!(decode(&format!("{head}{patches}")), Err(StateError::Missing("table")));
        let later = patches.split_once("end 4\n").unwrap().1;
        let error = decode(&format!("{ANSWER}{later}")).unwrap_err();
        assert_eq!(error.to_string(), "its table, line 1: a patch of another table");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let check = |from: &str, to: &str, why: &str| {
            let error = decode(&ANSWER.replace(from, to)).unwrap_err();
            assert_eq!(error.to_string(), why);
        };
        check("backchat 1", "backchat 2", "'backchat 2' says nothing known");
        check("boot 0a1b\n", "", "it does not say its boot");
        check("version 3\n", "version x\n", "it does not say its version");
        check("web/web1 4", "web/web1 x", "'flight web/web1 x' says nothing known");
        check("end 3", "end 4", "its table, line 3: not the end after so many lines");
        check("\ntable 3", "\ntables", "it does not say its table");
    }
}
