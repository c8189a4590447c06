//! A reload that is confirmed rather than hoped for.
//!
//! nginx answers a HUP with nothing, and goes on with the configuration of before where it does not like the new one.
//! The first answer of the new generation is no proof either: workers of before take connections for some 100 ms more.

use std::{path::PathBuf, time::Duration};

use backchat_contract::DriverError;
use backchat_template::{failpoint::point_async, is_stopped, log};
use tokio::time::{Instant, sleep};

use crate::{
    control,
    log::{emergencies, gave_up},
    process::Master,
    titles::{children, is_retiring, title},
};

/// How soon to look again while a reload is under way: most take 100 ms, and are waited for.
const SOON: Duration = Duration::from_millis(1);

/// And how soon where it takes longer than most.
const AGAIN: Duration = Duration::from_millis(5);

/// How long most take at most.
const MOST: Duration = Duration::from_millis(300);

/// How long nginx's master may take to say no: it does so before it does anything else.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// A reload that is to come.
#[derive(Clone, Debug)]
pub struct Reload {
    /// Where nginx says what it runs.
    pub control: PathBuf,
    /// Where it says why it does not.
    pub logs: Vec<PathBuf>,
    /// What is to run.
    pub generation: u64,
    /// What is to run, too.
    pub structure: String,
    /// How long it may take; a port that is in use takes nginx 2.5 s to say so.
    pub limit: Duration,
}

/// Reloads, and waits until the new generation answers and no worker of before takes new connections.
///
/// An error means that the configuration of before serves on; it carries what nginx said.
pub async fn reload(master: &Master, wanted: &Reload) -> Result<(), DriverError> {
    if is_stopped(master.pid()) {
        let pid = master.pid();
        let message = format!("its process {pid} is stopped; 'kill -CONT {pid}' lets it go on");
        return Err(DriverError::Reload { message });
    }
    let begun = Instant::now();
    let deadline = begun + wanted.limit;
    let before: Vec<u32> = children(master.pid()).iter().filter(|c| !c.retiring).map(|c| c.pid).collect();
    let said: Vec<u64> = wanted.logs.iter().map(|path| log::len(path)).collect();
    let heard = || wanted.logs.iter().zip(&said).map(|(path, from)| log::since(path, *from)).collect::<String>();
    let refused = |otherwise: String| {
        let said = emergencies(&heard());
        DriverError::Reload { message: if said.is_empty() { otherwise } else { said } }
    };
    master.reload()?;
    point_async("reload:sent").await;
    loop {
        if is_done(wanted, &before).await {
            return Ok(());
        }
        if !master.is_running() {
            return Err(refused("nginx ended over it".into()));
        }
        if gave_up(&heard()) {
            sleep(LAST_WORDS).await;
            return Err(refused(String::new()));
        }
        if Instant::now() > deadline {
            let silence = format!("generation {} was not read back within {:?}", wanted.generation, wanted.limit);
            return Err(refused(silence));
        }
        sleep(if begun.elapsed() < MOST { SOON } else { AGAIN }).await;
    }
}

/// Anything that is not a clear answer is no yes.
async fn is_done(wanted: &Reload, before: &[u32]) -> bool {
    if !before.iter().all(|pid| is_retiring(*pid) || title(*pid).is_empty()) {
        return false;
    }
    let running = control::ask(&wanted.control).await.ok().flatten();
    running.is_some_and(|r| r.generation == wanted.generation && r.structure == wanted.structure)
}
