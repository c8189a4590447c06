//! Orders of operators to one node, from whichever member they were given to: handed to the node itself, so that it
//! says of itself what holds, and every balancer follows. It must not know what the node makes of them.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{
    Drained, Handle,
    identity::Identity,
    sync::{self, OrderAsk, OrderBody, SyncError},
};
use crate::model::{NodeName, Order, ServiceName};

/// Orders that wait at one time to be taken.
pub(super) const ORDERS: usize = 64;
/// The longest that one order may wait for the balancers; who waits longer asks again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An operator wants this node to drain, or to serve again, or to know how far that is.
#[derive(Debug)]
pub struct DrainOrder {
    /// What is wanted.
    pub wanted: Wanted,
    /// Where the answer goes, or why not.
    pub answer: oneshot::Sender<Result<Ordered, String>>,
}

/// What is wanted of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The order.
    pub order: Order,
    /// Whether it is given, or was given before and is only waited for.
    pub given: bool,
    /// Which service; all of them where `None`.
    pub service: Option<ServiceName>,
    /// How long to wait until all balancers follow.
    pub wait: Duration,
}

/// What holds at a node since an order, and which balancers follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// The (epoch, version) of its record that says so.
    pub age: (u64, u64),
    /// The balancers; none where nobody waited.
    pub drained: Drained,
}

/// Why an order came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The node was reached, and says no.
    #[error("{0}")]
    Refused(String),
    /// The node cannot be reached, or does not know the question.
    #[error("{0}")]
    Unreached(String),
}

impl Handle {
    /// At an agent, once: the orders of operators.
    pub fn drain_orders(&self) -> Option<mpsc::Receiver<DrainOrder>> {
        self.inbound_orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Hands an order to a node, which may be this one, and waits for its answer.
    ///
    /// # Errors
    /// The node is not known, not reached, too old, or refuses.
    pub async fn order(&self, node: &NodeName, wanted: Wanted) -> Result<Ordered, OrderError> {
        let view = self.views.borrow().clone();
        if view.me.node == node.as_str() {
            let told = give(self.orders.as_ref(), wanted).await;
            return told.ok_or_else(stopping)?.map_err(OrderError::Refused);
        }
        let Some(member) = view.snapshot.members.get(node) else {
            return Err(OrderError::Unreached(format!("no member is called {node}")));
        };
        let to = Identity::new(node.clone(), member.epoch, member.addr);
        let speaker = self.speaker.borrow().clone();
        match sync::order(speaker, &to, OrderAsk::from(&wanted)).await {
            Ok(OrderBody { refused: Some(why), .. }) => Err(OrderError::Refused(why)),
            Ok(body) => Ok(body.into()),
            Err(error) => Err(OrderError::Unreached(format!("{node} ({}) {}", to.addr(), words(&error)))),
        }
    }
}

fn stopping() -> OrderError {
    OrderError::Unreached("this node stops".into())
}

/// Puts an order before this node's own agent. `None` where that is about to end.
pub(super) async fn give(orders: Option<&mpsc::Sender<DrainOrder>>, wanted: Wanted) -> Option<Result<Ordered, String>> {
    let Some(orders) = orders else {
        return Some(Err("it is a balancer: it offers no service".into()));
    };
    let (answer, answered) = oneshot::channel();
    orders.send(DrainOrder { wanted, answer }).await.ok()?;
    answered.await.ok()
}

/// A question that a version does not know ends the stream.
fn words(error: &SyncError) -> String {
    match error {
        SyncError::Closed | SyncError::Io(_) => {
            format!("{error}: usually a version of backchat that takes no orders; 'backchat leave' there drains it")
        }
        _ => error.to_string(),
    }
}

const ONLY_WAIT: u32 = 0;
const DRAIN: u32 = 1;
const UNDRAIN: u32 = 2;

impl From<&Wanted> for OrderAsk {
    fn from(wanted: &Wanted) -> Self {
        let order = match (wanted.given, wanted.order) {
            (false, _) => ONLY_WAIT,
            (true, Order::Drain) => DRAIN,
            (true, Order::Undrain) => UNDRAIN,
        };
        Self {
            order,
            service: wanted.service.as_ref().map(ToString::to_string),
            wait_ms: u64::try_from(wanted.wait.as_millis()).unwrap_or(u64::MAX),
            serves: (wanted.order == Order::Undrain).then_some(true),
        }
    }
}

impl Wanted {
    /// What a question from the wire wants; in words, why it makes no sense here.
    pub(super) fn read(ask: OrderAsk) -> Result<Self, String> {
        let (given, order) = match (ask.order, ask.serves.unwrap_or_default()) {
            (ONLY_WAIT, serves) => (false, if serves { Order::Undrain } else { Order::Drain }),
            (DRAIN, _) => (true, Order::Drain),
            (UNDRAIN, _) => (true, Order::Undrain),
            (other, _) => return Err(format!("its version of backchat knows no order {other}")),
        };
        let service = ask.service.map(|name| name.parse()).transpose().map_err(|_| "that is no service".to_owned())?;
        let wait = Duration::from_millis(ask.wait_ms).min(LONGEST_WAIT);
        Ok(Self { order, given, service, wait })
    }
}

impl From<Result<Ordered, String>> for OrderBody {
    fn from(result: Result<Ordered, String>) -> Self {
        let Ordered { age: (epoch, version), drained } = match result {
            Ok(ordered) => ordered,
            Err(why) => return Self { refused: Some(why), ..Self::default() },
        };
        let confirmed: Vec<_> = drained.confirmed.iter().map(ToString::to_string).collect();
        let missing = drained.missing.into_iter().map(|(name, why)| (name.to_string(), why)).collect();
        Self { refused: None, epoch, version, confirmed: Some(confirmed), missing: Some(missing) }
    }
}

impl From<OrderBody> for Ordered {
    /// A name that is none is left out: it is only shown.
    fn from(body: OrderBody) -> Self {
        let confirmed = body.confirmed.unwrap_or_default().iter().filter_map(|name| name.parse().ok()).collect();
        let missing = body.missing.unwrap_or_default().into_iter();
        let missing = missing.filter_map(|(name, why)| Some((name.parse().ok()?, why))).collect();
        Self { age: (body.epoch, body.version), drained: Drained { confirmed, missing, ..Drained::default() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_survives_the_way() {
        for order in [Order::Drain, Order::Undrain] {
            for given in [true, false] {
                for service in [None, Some("web".parse().unwrap())] {
                    let wanted = Wanted { order, given, service, wait: Duration::from_secs(2) };
                    assert_eq!(Wanted::read(OrderAsk::from(&wanted)), Ok(wanted));
                }
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_no_wait_is_endless() {
        let ask = OrderAsk { order: 9, service: None, wait_ms: u64::MAX, serves: None };
        assert!(Wanted::read(ask.clone()).unwrap_err().contains("knows no order 9"));
        let hostile = OrderAsk { order: DRAIN, service: Some("a\nb".into()), ..ask.clone() };
        assert_eq!(Wanted::read(hostile), Err("that is no service".into()));
        assert_eq!(Wanted::read(OrderAsk { order: DRAIN, ..ask }).unwrap().wait, LONGEST_WAIT);
    }

    #[test]
    fn answers_survive_the_way() {
        let drained = Drained {
            confirmed: ["proxy".parse().unwrap()].into(),
            missing: [("proxy2".parse().unwrap(), "still drains".into())].into(),
            ..Drained::default()
        };
        let ordered = Ordered { age: (7, 3), drained };
        assert_eq!(Ordered::from(OrderBody::from(Ok(ordered.clone()))), ordered);
        assert_eq!(OrderBody::from(Err("no".to_owned())).refused, Some("no".into()));
    }
}
