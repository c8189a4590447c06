//! A GET on a fresh connection. 2xx and 3xx pass; a redirect is not followed.

use std::{error::Error as _, sync::Arc};

use reqwest::{Client, header::HOST, redirect::Policy};

use super::{names::Names, target::Addr};
use crate::model::words::without_errno;

/// What asks: nothing kept open, no proxy in between, names from those that are known. `None` where the system has no room for it.
pub(super) fn client(names: &Names) -> Option<Client> {
    let name = concat!("backchat/", env!("CARGO_PKG_VERSION"), " (check)");
    let client = Client::builder().redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0).user_agent(name);
    client.dns_resolver(Arc::new(names.clone())).build().ok()
}

/// One look; `host` is asked for where the place is an address of ours.
pub(super) async fn look(client: Option<&Client>, place: &Addr, path: &str, host: Option<&str>) -> Result<(), String> {
    let client = client.ok_or("no HTTP client could be made")?;
    let mut request = client.get(format!("http://{place}{path}"));
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    match request.send().await.map(|answer| answer.status()) {
        Ok(status) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(status) => Err(format!("answered {}", status.as_u16())),
        Err(error) => Err(cause(&error)),
    }
}

/// What lies below the wrappings of the error, which all say that the request failed.
fn cause(error: &reqwest::Error) -> String {
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(std::error::Error::source) {
        deepest = Some(next);
    }
    let text = deepest.map_or_else(|| error.to_string(), ToString::to_string);
    without_errno(&text).to_lowercase()
}
