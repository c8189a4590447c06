//! What a handler may say of the connection that it answers on: that its answer has no end of its own, and, later,
//! that whoever reads it is not worth waiting for.

use tokio_util::sync::CancellationToken;

/// A connection, as its handlers see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    streams: CancellationToken,
    cut: CancellationToken,
}

impl Line {
    /// The answer goes on for as long as it is read: the connection may live on.
    pub(super) fn streams(&self) {
        self.streams.cancel();
    }

    /// Whether it may live on.
    pub(super) fn is_streaming(&self) -> bool {
        self.streams.is_cancelled()
    }

    /// Ends the connection, whatever is still to be sent.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Ends when it is to end. Cancel-safe.
    pub(super) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }
}
