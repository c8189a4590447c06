//! What foca wants done, gathered until its call returns; and the handler of its broadcasts.

use bytes::Bytes;
use foca::{BroadcastHandler, Header, Incarnation, Invalidates, Message, Notification, Runtime, Timer};

use crate::{
    cluster::{identity::Identity, message::RecordId},
    model::Moment,
};

use super::item;

/// What foca wants done.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) packets: Vec<Sent>,
    pub(super) timers: Vec<(Moment, Timer<Identity>)>,
    pub(super) notes: Vec<Note>,
    /// Our incarnation as the last packet said it: foca does not tell.
    pub(super) incarnation: Incarnation,
}

/// A packet on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) to: Identity,
    pub(super) bytes: Bytes,
    pub(super) kind: SentKind,
}

/// What matters of a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentKind {
    /// A probe with its number.
    Ping(u8),
    /// A wish that somebody else probes.
    PingReq,
    /// The notice that the receiver is taken for dead.
    TurnUndead,
    /// Any other.
    Other,
}

/// What foca noticed, as far as anything follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The set of members is another.
    Members,
    /// Our probe of this member failed.
    ProbeFailed(Identity),
    /// We were declared down, or left.
    Defunct,
}

impl Runtime<Identity> for Outbox {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::DataSent(header) => self.sent(header),
            Notification::ProbeFailed(_, member) => self.notes.push(Note::ProbeFailed(member.clone())),
            Notification::Defunct => self.notes.push(Note::Defunct),
            Notification::DataReceived(_) => {}
            _ => self.notes.push(Note::Members),
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.packets.push(Sent { to, bytes: Bytes::copy_from_slice(data), kind: SentKind::Other });
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Moment) {
        self.timers.push((after, event));
    }
}

impl Outbox {
    /// foca says what a packet was right after it handed it over.
    fn sent(&mut self, header: &Header<Identity>) {
        self.incarnation = header.src_incarnation;
        if let Some(last) = self.packets.last_mut() {
            last.kind = match header.message {
                Message::Ping(number) => SentKind::Ping(number),
                Message::PingReq { .. } => SentKind::PingReq,
                Message::TurnUndead => SentKind::TurnUndead,
                _ => SentKind::Other,
            };
        }
    }
}

/// foca's handler of broadcasts. What arrives is handled before foca sees it, so that this one knows
/// only which item replaces which.
#[derive(Debug)]
pub(super) struct Items;

/// Which record an item is about.
#[derive(Debug)]
pub(super) struct ItemKey(RecordId);

impl Invalidates for ItemKey {
    fn invalidates(&self, other: &Self) -> bool {
        self.0.node == other.0.node && (self.0.epoch, self.0.version) >= (other.0.epoch, other.0.version)
    }
}

impl BroadcastHandler<Identity> for Items {
    type Key = ItemKey;
    type Error = item::ItemError;

    fn receive_item(&mut self, data: &[u8], sender: Option<&Identity>) -> Result<Option<ItemKey>, item::ItemError> {
        debug_assert_eq!(sender, None, "a received broadcast reached foca");
        item::read(data).map(|item| Some(ItemKey(item.id())))
    }
}
