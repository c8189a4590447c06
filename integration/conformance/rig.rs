//! What a case needs of a data plane beside its driver.

use std::net::SocketAddr;

use backchat_contract::{Driver, Policies, TcpListen};

/// A data plane on a fresh folder and fresh ports. All of it ends when the rig is dropped.
pub(crate) trait Rig: Send + Sync {
    /// The driver under test.
    type Driver: Driver;

    /// New services that it takes without a reload; 0 where each needs one.
    const SPARE_SERVICES: usize;

    /// Whether a change of endpoints alone goes without a reload. Where it does not, endpoints come by the file, and wait
    /// where that must not be written.
    const ENDPOINTS_WITHOUT_RELOAD: bool;

    /// Nothing runs yet.
    fn new() -> Self;

    /// A driver on this folder, as a daemon that was started again makes it.
    fn driver(&self) -> Self::Driver;

    /// Where it takes HTTP.
    fn http(&self) -> SocketAddr;

    /// Ends the data plane as `kill -9` does, all of its processes.
    fn kill(&self);

    /// Reloads the data plane behind the driver's back.
    fn reload(&self);

    /// The processes that serve, to tell whether they are still the same.
    fn processes(&self) -> Vec<u32>;

    /// Changes the file that the driver writes, as a person with an editor does; it still passes its check.
    fn edit(&self);

    /// The file that the driver writes.
    fn file(&self) -> String;

    /// Takes this server out of the live data plane behind the driver's back, and changes the weight of that one.
    fn tamper(&self, service: &str, gone: &str, reweighted: &str) -> impl Future<Output = ()> + Send;
}

/// One that speaks TLS by certificates of ours.
pub(crate) trait Tls: Rig {
    /// Whether certificates come, change and go without a reload, once there is one.
    const CERTIFICATES_WITHOUT_RELOAD: bool;

    /// Where it takes HTTPS.
    fn https(&self) -> SocketAddr;
}

/// One that is told how services are balanced.
pub(crate) trait Ruled: Rig {
    /// Whether a request waits for an endpoint that has as many as it may.
    const QUEUES: bool = false;

    /// The driver, with these policies.
    fn ruled(&self, policies: Policies) -> Self::Driver;
}

/// One that listens for TCP too.
pub(crate) trait Streams: Rig {
    /// The driver, with these policies and listeners.
    fn streams(&self, policies: Policies, listen: Vec<TcpListen>) -> Self::Driver;
}
