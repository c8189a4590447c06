//! The addresses of the one name that a check looks at: found once, kept until a look at them fails.
//!
//! A resolver that hangs holds a thread of the system's for each look-up, whoever still waits for it. So a look-up is
//! carried over from look to look: there is never more than one under way.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Mutex;

type Found = io::Result<Vec<IpAddr>>;
type LookUp = Pin<Box<dyn Future<Output = Found> + Send>>;

/// The addresses of one name. A clone is the same.
#[derive(Clone)]
pub(super) struct Names {
    state: Arc<Mutex<State>>,
    look_up: Arc<dyn Fn(String) -> LookUp + Send + Sync>,
}

enum State {
    Unknown,
    UnderWay(LookUp),
    Known(Vec<IpAddr>),
}

impl Names {
    /// By the system's resolver.
    pub(super) fn new() -> Self {
        Self::by(|host| Box::pin(by_system(host)))
    }

    fn by(look_up: impl Fn(String) -> LookUp + Send + Sync + 'static) -> Self {
        Self { state: Arc::new(Mutex::new(State::Unknown)), look_up: Arc::new(look_up) }
    }

    /// The addresses. Dropped, the look-up waits for the next who asks.
    pub(super) async fn of(&self, host: &str) -> Found {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let mut state = self.state.lock().await;
        loop {
            match &mut *state {
                State::Known(addrs) => return Ok(addrs.clone()),
                State::Unknown => *state = State::UnderWay((self.look_up)(host.to_owned())),
                State::UnderWay(look_up) => {
                    let found = look_up.await;
                    *state = found.as_ref().map_or(State::Unknown, |addrs| State::Known(addrs.clone()));
                    return found;
                }
            }
        }
    }

    /// Whether the resolver has been asked and has not answered.
    pub(super) async fn is_asked(&self) -> bool {
        matches!(*self.state.lock().await, State::UnderWay(_))
    }

    /// What was found led nowhere: the name may lead elsewhere by now. A look-up under way goes on.
    pub(super) async fn forget(&self) {
        let mut state = self.state.lock().await;
        if matches!(*state, State::Known(_)) {
            *state = State::Unknown;
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.of(name.as_str()).await?;
            // The port is put in by who asks.
            let addrs: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addrs)
        })
    }
}

async fn by_system(host: String) -> Found {
    Ok(tokio::net::lookup_host((host, 0)).await?.map(|addr| addr.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::{sync::Semaphore, time::timeout};

    use super::*;

    /// A resolver that answers once for each permit; and how often it was asked.
    fn slow() -> (Names, Arc<Semaphore>, Arc<AtomicUsize>) {
        let (answers, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (given, count) = (Arc::clone(&answers), Arc::clone(&asked));
        let names = Names::by(move |host| {
            count.fetch_add(1, Ordering::Relaxed);
            let given = Arc::clone(&given);
            Box::pin(async move {
                given.acquire().await.map_err(io::Error::other)?.forget();
                if host == "nowhere" { Err(io::Error::other("no such name")) } else { Ok(vec![[10, 0, 0, 7].into()]) }
            })
        });
        (names, answers, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_is_asked_once() {
        let (names, answers, asked) = slow();
        for _ in 0..5 {
            timeout(Duration::from_secs(2), names.of("web.example")).await.expect_err("it hangs");
            assert!(names.is_asked().await);
            names.forget().await;
        }
        answers.add_permits(1);
        for _ in 0..5 {
            assert_eq!(names.of("web.example").await.unwrap(), [IpAddr::from([10, 0, 0, 7])]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // Where it led nowhere, and only then, it is asked anew.
        names.forget().await;
        answers.add_permits(1);
        names.of("web.example").await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_found_is_asked_for_again() {
        let (names, answers, asked) = slow();
        answers.add_permits(2);
        for _ in 0..2 {
            names.of("nowhere").await.unwrap_err();
            assert!(!names.is_asked().await);
        }
        assert_eq!(names.of("::1").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()], "an address is none's to find");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
