//! Places at which a test can end or delay this process: the crash at each step of an install.
//!
//! Behind the cargo feature `failpoints`, which is off in what ships; without it a point is nothing. With it the
//! variable `FAILPOINTS` says what happens where, in the words of the `fail` crate: `files:written=return` kills the
//! process there as SIGKILL does, `push:begin=1*sleep(500)` holds it up once. It knows no step by name.

/// A point in code that may block.
pub fn point(name: &str) {
    #[cfg(feature = "failpoints")]
    on::point(name);
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// A point in code that must not block.
#[cfg_attr(not(feature = "failpoints"), allow(clippy::unused_async, reason = "it waits with the feature"))]
pub async fn point_async(name: &'static str) {
    #[cfg(feature = "failpoints")]
    // Only the end of the runtime ends it early, and then nothing comes after it.
    let _ = tokio::task::spawn_blocking(|| on::point(name)).await;
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

#[cfg(feature = "failpoints")]
mod on {
    use std::sync::Once;

    use rustix::process::{Signal, getpid, kill_process};

    pub(super) fn point(name: &str) {
        static READ: Once = Once::new();
        // Dropped, the scenario would end; it lasts as long as the process.
        READ.call_once(|| std::mem::forget(fail::FailScenario::setup()));
        fail::fail_point!(name, |_| die());
    }

    /// Ends the process with nothing tidied up, as a crash does.
    fn die() {
        // Sent to oneself it does not return, so there is nobody to tell.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
