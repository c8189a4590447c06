//! What the daemons say of themselves, over their admin sockets.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{op::Host, world::World};

/// The answer to a path of a daemon's admin API. A daemon that was stopped takes the question and says nothing.
pub(crate) async fn get(world: &World, host: Host, path: &str) -> Result<Value> {
    let socket = world.run_dir(host).join("admin.sock");
    let client = reqwest::Client::builder().unix_socket(socket).timeout(Duration::from_secs(3)).build()?;
    let answer = client.get(format!("http://localhost{path}")).send().await;
    let answer = answer.with_context(|| format!("{host} does not answer {path}"))?;
    Ok(answer.json().await?)
}

/// Whether a balancer has heard everybody and brought its HAProxy in step.
pub(crate) async fn is_synced(world: &World, host: Host) -> bool {
    let status = get(world, host, "/v1/status").await.unwrap_or_default();
    status["synced"] == true && status["converged"] == true
}

/// The names of a list's entries that `wanted` says yes to.
pub(crate) fn named(list: &Value, wanted: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let entries = list.as_array().into_iter().flatten().filter(|entry| wanted(entry));
    entries.filter_map(|entry| Some(entry["name"].as_str()?.to_owned())).collect()
}
