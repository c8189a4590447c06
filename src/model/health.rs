//! Whether a service of this node may get requests, by the node's own account.

/// A service of this node, by the node's own check of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The service.
    pub service: String,
    /// Where on this node.
    pub port: u32,
    /// Whether it may get requests.
    pub up: bool,
    /// Why not, or what the last look found that has no effect yet.
    pub why: Option<String>,
}
