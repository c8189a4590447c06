//! A path without what is in front of it.

use backchat_contract::PathPrefix;

use crate::routes::escaped;

/// Maps from the request's own path and query to the same without the prefix, and to the prefix where it was there.
pub(super) fn stripped(prefix: &PathPrefix, number: usize) -> Vec<String> {
    let prefix = prefix.as_str();
    let regex = escaped(prefix);
    vec![
        format!("map $request_uri $bc_uri_{number} {{"),
        format!("    \"~^{regex}/(?<bc_rest_{number}>.*)$\" /$bc_rest_{number};"),
        format!("    \"~^{regex}(?<bc_query_{number}>[?].*|)$\" /$bc_query_{number};"),
        "    default $request_uri;".into(),
        "}".into(),
        format!("map $request_uri $bc_prefix_{number} {{ \"~^{regex}([/?]|$)\" {prefix}; default ''; }}"),
    ]
}
