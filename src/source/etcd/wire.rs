//! What is written to etcd's gateway and what it answers: protobuf's JSON, in which bytes are base64, numbers of 64 bits
//! are texts, and what is zero is left out. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};

use super::keys::end_of;
use crate::model::words::escaped;

/// Keys in one answer.
pub(super) const PAGE: usize = 1000;

/// What gRPC calls an answer to one whose token is none, or none any more (`UNAUTHENTICATED`).
const UNAUTHENTICATED: i64 = 16;

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// etcd's own words.
    pub(super) why: String,
    /// Whether another token may help.
    pub(super) is_token: bool,
}

/// What `/v3/kv/range` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Range {
    pub(super) header: Header,
    #[serde(default)]
    pub(super) kvs: Vec<KeyValue>,
    #[serde(default)]
    pub(super) more: bool,
}

/// What every answer says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Header {
    /// The revision that the store has.
    #[serde(default, deserialize_with = "number")]
    pub(super) revision: i64,
}

/// A key and what it holds.
#[derive(Debug, Deserialize)]
pub(super) struct KeyValue {
    #[serde(default, deserialize_with = "bytes")]
    pub(super) key: Vec<u8>,
    #[serde(default, deserialize_with = "bytes")]
    pub(super) value: Vec<u8>,
    /// The revision that wrote it last.
    #[serde(default, deserialize_with = "number")]
    pub(super) mod_revision: i64,
}

/// What a watch says.
#[derive(Debug, Deserialize)]
pub(super) struct Watched {
    #[serde(default)]
    pub(super) canceled: bool,
    #[serde(default)]
    pub(super) cancel_reason: String,
    /// The first revision that is still there, where the one asked for is not.
    #[serde(default, deserialize_with = "number")]
    pub(super) compact_revision: i64,
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

/// What happened to a key.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default, rename = "type")]
    kind: Kind,
    pub(super) kv: KeyValue,
}

#[derive(Debug, Default, Deserialize)]
enum Kind {
    #[default]
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
}

/// What `/v3/auth/authenticate` answers.
#[derive(Deserialize)]
pub(super) struct Authenticated {
    pub(super) token: String,
}

/// What `/v3/lease/grant` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Granted {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub(super) id: i64,
}

/// What `/v3/kv/txn` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Txn {
    #[serde(default)]
    pub(super) succeeded: bool,
}

/// A message of a stream.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Streamed<T> {
    result: Option<T>,
    error: Option<Value>,
}

impl Event {
    /// What the key holds now; `None` where it is gone.
    pub(super) fn value(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Put => Some(&self.kv.value),
            Kind::Delete => None,
        }
    }
}

/// A page of the keys that begin so, from this one on, as they were at a revision; 0 is the newest.
pub(super) fn page(beginning: &str, from: &[u8], revision: i64) -> Value {
    json!({
        "key": encoded(from),
        "range_end": encoded(&end_of(beginning)),
        "limit": PAGE.to_string(),
        "revision": revision.to_string(),
    })
}

/// One key.
pub(super) fn key(key: &str) -> Value {
    json!({ "key": encoded(key.as_bytes()) })
}

/// Watches on the keys that begin so, from a revision on: what a stream's two are asked for, one behind the other.
pub(super) fn watches(beginnings: &[String], revision: i64) -> String {
    let watch = |beginning: &String| {
        let create = json!({
            "key": encoded(beginning.as_bytes()),
            "range_end": encoded(&end_of(beginning)),
            "start_revision": revision.to_string(),
            "fragment": true,
        });
        json!({ "create_request": create }).to_string()
    };
    beginnings.iter().map(watch).collect()
}

/// Who asks, as a token is asked for.
pub(super) fn who(name: &str, password: &str) -> Value {
    json!({ "name": name, "password": password })
}

/// A lease of so many seconds.
pub(super) fn lease(seconds: u32) -> Value {
    json!({ "TTL": seconds.to_string() })
}

/// A lease that is given back.
pub(super) fn revoked(lease: i64) -> Value {
    json!({ "ID": lease.to_string() })
}

/// Puts a key as long as a lease holds, unless another has written it since this revision; 0 where it was not there.
pub(super) fn put_unchanged(key: &str, value: &str, lease: i64, since: i64) -> Value {
    let key = encoded(key.as_bytes());
    json!({
        "compare": [{ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": since.to_string() }],
        "success": [{ "request_put": { "key": key, "value": encoded(value.as_bytes()), "lease": lease.to_string() } }],
    })
}

/// What an answer says.
pub(super) fn answer<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Refusal> {
    if status == 200 {
        return serde_json::from_slice(body).map_err(|e| unreadable(&e));
    }
    let error = serde_json::from_slice::<Value>(body).ok();
    Err(error.as_ref().and_then(refusal).unwrap_or_else(|| {
        let said: String = String::from_utf8_lossy(body).chars().take(80).collect();
        let why = format!("it does not answer as etcd's gateway does: {:?} ({status})", said.trim());
        Refusal { why, is_token: status == 401 }
    }))
}

/// What a line of a stream says.
pub(super) fn streamed<T: DeserializeOwned>(line: &[u8]) -> Result<T, Refusal> {
    let message: Streamed<T> = serde_json::from_slice(line).map_err(|e| unreadable(&e))?;
    let unknown = || Refusal { why: "it says neither what happened nor what is wrong".into(), is_token: false };
    message.result.ok_or_else(|| message.error.as_ref().and_then(refusal).unwrap_or_else(unknown))
}

/// An error: `message` and `code` of itself or, in a stream of older servers, `grpc_code`.
fn refusal(error: &Value) -> Option<Refusal> {
    let why = error.get("message").or_else(|| error.get("error"))?.as_str()?;
    let code = error.get("code").or_else(|| error.get("grpc_code")).and_then(Value::as_i64);
    // Who may what was changed since the token was given: another one knows of it.
    let is_old = why.contains("revision of auth store is old");
    Some(Refusal { why: escaped(why, 300), is_token: is_old || code == Some(UNAUTHENTICATED) })
}

fn unreadable(why: &serde_json::Error) -> Refusal {
    Refusal {
        why: format!("it does not answer as etcd's gateway does: {}", escaped(&why.to_string(), 200)),
        is_token: false,
    }
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    BASE64_STANDARD.decode(&*text).map_err(serde::de::Error::custom)
}

/// A number that may be written as a text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_str().map_or_else(|| value.as_i64(), |text| text.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom(format!("{} is no number", escaped(&value.to_string(), 40))))
}

#[cfg(test)]
mod tests;
