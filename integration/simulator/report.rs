//! What `make sweep` measures: the README's tables of the simulator, written to `target/sweep.md` to be pasted. Every
//! run of the tests measures a taste of the same, by the same promises.
//!
//! All rows are measured and written before any of them fails the test: an hour's work is not lost for one.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use super::{profiles, sweep, world::secs};

/// How much is measured.
struct Scale {
    /// The virtual time of each cell of the sweep.
    time: Duration,
    /// How often each number of a profile is measured.
    times: usize,
    file: PathBuf,
}

impl Scale {
    /// As many minutes as `SWEEP_MINUTES` says, with all that the README shows; a taste where it is not set.
    fn asked() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let Ok(minutes) = env::var("SWEEP_MINUTES") else {
            return Self { time: secs(5), times: 1, file: folder.join("sweep.md") };
        };
        let minutes: u64 = minutes.parse().expect("SWEEP_MINUTES is no number");
        Self { time: secs(minutes * 60), times: 100, file: folder.with_file_name("sweep.md") }
    }
}

/// A row of a table, and which promise it breaks.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) row: String,
    pub(super) wrong: Option<String>,
}

/// What measures one row.
pub(super) type Job = Box<dyn FnOnce() -> Line + Send>;

/// A table that is still to be measured.
pub(super) struct Table {
    pub(super) head: &'static [&'static str],
    /// Those that take longest come last here, and are begun first.
    pub(super) jobs: Vec<Job>,
}

/// Measures all rows of all tables, on all cores.
fn measure(jobs: Vec<Job>) -> Vec<Line> {
    let (all, start) = (jobs.len(), Instant::now());
    let queue = Mutex::new(jobs.into_iter().enumerate().rev());
    let lines = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((i, job)) = next(&queue) {
            // In a thread of its own: the others go on where one panics.
            let line = thread::spawn(job).join().unwrap_or_else(|_| Line::panicked());
            let mut lines = lines.lock().unwrap();
            eprintln!("{} of {all} after {} s: {}", lines.len() + 1, start.elapsed().as_secs(), line.row);
            lines.insert(i, line);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    lines.into_inner().unwrap().into_values().collect()
}

/// The next that nobody took yet; the queue is free again when it is run.
fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().unwrap().next()
}

impl Line {
    fn panicked() -> Self {
        Self { row: "| panicked |".into(), wrong: Some("panicked, see above".into()) }
    }
}

/// The tables as Markdown, and all that is wrong with their rows.
fn report(tables: Vec<Table>) -> (String, Vec<String>) {
    let sizes: Vec<_> = tables.iter().map(|table| (table.head, table.jobs.len())).collect();
    let mut lines = measure(tables.into_iter().flat_map(|table| table.jobs).collect()).into_iter();
    let (mut text, mut wrong) = (String::new(), Vec::new());
    for (head, size) in sizes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for line in lines.by_ref().take(size) {
            let _ = writeln!(text, "{}", line.row);
            wrong.extend(line.wrong.map(|wrong| format!("{}: {wrong}", line.row)));
        }
    }
    (text, wrong)
}

#[test]
fn the_tables_of_the_readme() {
    let scale = Scale::asked();
    let (text, wrong) = report(vec![profiles::table(scale.times), sweep::table(scale.time)]);
    println!("\n{text}");
    fs::write(scale.file, text).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A table whose second row breaks a promise, and whose third panics.
#[test]
fn all_rows_are_written_before_one_fails() {
    let line = |row: &str, wrong: Option<&str>| Line { row: row.into(), wrong: wrong.map(Into::into) };
    let good = move || line("| 1 | 2 |", None);
    let bad = move || line("| 3 | 4 |", Some("late"));
    let jobs: Vec<Job> = vec![Box::new(good), Box::new(bad), Box::new(|| panic!("meant"))];
    let (text, wrong) = report(vec![Table { head: &["a", "b"], jobs }, Table { head: &["c"], jobs: Vec::new() }]);
    assert_eq!(text, "\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| panicked |\n\n| c |\n|---|\n");
    assert_eq!(wrong, ["| 3 | 4 |: late", "| panicked |: panicked, see above"]);
}
