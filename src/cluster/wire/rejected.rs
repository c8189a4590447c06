//! Why a packet was not taken: a number in the metrics, never an answer.

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It ends before its header does.
    #[error("too short")]
    Short,
    /// It is longer than any of ours.
    #[error("too long")]
    Long,
    /// It is of a version that this node does not read, or nothing of ours.
    #[error("unknown version")]
    Version,
    /// It is not sealed, and this node has a key.
    #[error("not sealed")]
    Plain,
    /// It is sealed, and this node has no key.
    #[error("sealed, and there is no key here")]
    Sealed,
    /// It is sealed with a key that is not in the keyring.
    #[error("sealed with an unknown key")]
    UnknownKey,
    /// Its tag is wrong: another label, another key of the same id, or changed on the way.
    #[error("forged, damaged or of another cluster")]
    Forged,
    /// It is not sealed, and of another cluster.
    #[error("of another cluster")]
    Label,
    /// It was here before, or is older than the window.
    #[error("a replay")]
    Replay,
    /// It is of an earlier life of its sender.
    #[error("of an earlier life")]
    Stale,
    /// It is one of our own, sent back.
    #[error("our own")]
    Own,
    /// It was opened, and makes no sense.
    #[error("malformed")]
    Malformed,
}

impl Rejected {
    /// Every reason, in the order of [`Rejected::index`].
    pub const ALL: [Self; 12] = [
        Self::Short,
        Self::Long,
        Self::Version,
        Self::Plain,
        Self::Sealed,
        Self::UnknownKey,
        Self::Forged,
        Self::Label,
        Self::Replay,
        Self::Stale,
        Self::Own,
        Self::Malformed,
    ];

    /// Its place in [`Rejected::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The reason as metrics name it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Version => "version",
            Self::Plain => "plain",
            Self::Sealed => "sealed",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Label => "label",
            Self::Replay => "replay",
            Self::Stale => "stale",
            Self::Own => "own",
            Self::Malformed => "malformed",
        }
    }
}
