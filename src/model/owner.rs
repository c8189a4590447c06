//! Whose endpoint it is: its name says so.

use super::{EndpointId, EndpointName, NodeName};

/// The node whose endpoint this is.
pub fn node_of(id: &EndpointId) -> Option<NodeName> {
    node_of_name(&id.endpoint)
}

/// The node whose endpoint has this name: what stands before the port, where there is one.
pub(super) fn node_of_name(name: &EndpointName) -> Option<NodeName> {
    name.as_str().split(':').next()?.parse().ok()
}
