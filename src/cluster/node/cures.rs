//! The cures of foca's ills as switches, so that each can be shown to be needed.

/// Which cures are applied.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches for tests")]
pub struct Cures {
    /// A suspicion's timer is dropped once its member has refuted: foca tells it that it is dead.
    pub stale_timers: bool,
    /// After a new life began, its connection is set up: foca leaves it without timers.
    pub mute_rejoin: bool,
    /// A node that knows nobody alive greets those it knew: foca has no timers then.
    pub idle: bool,
    /// Enough transmissions of an update.
    pub transmissions: bool,
    /// A node that left hears nothing more: it would rejoin.
    pub deaf_leaver: bool,
    /// A suspect is told so again and again while it is one.
    pub suspect_again: bool,
    /// A probe that is not answered soon is sent once more.
    pub probe_twice: bool,
    /// A record too large for the space that foca leaves is announced in its stead.
    pub announce_large: bool,
    /// Several packets tell of a leave.
    pub tell_leave: bool,
    /// A node that stood still gives suspects the time anew in which it could not hear them: foca declares
    /// them down as soon as it goes on.
    pub overslept: bool,
}

impl Default for Cures {
    fn default() -> Self {
        Self {
            stale_timers: true,
            mute_rejoin: true,
            idle: true,
            transmissions: true,
            deaf_leaver: true,
            suspect_again: true,
            probe_twice: true,
            announce_large: true,
            tell_leave: true,
            overslept: true,
        }
    }
}
