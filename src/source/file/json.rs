//! JSON as a document. JSON is YAML, whose parser tells where each part stands; that it is JSON and nothing more is
//! seen to before.

use serde::de::IgnoredAny;

use super::{
    document::{Node, Position, Wrong},
    yaml,
};

pub(super) fn document(text: &str) -> Result<Node, Wrong> {
    let wrong = |e: serde_json::Error| {
        let said = e.to_string();
        let why = said.split(" at line ").next().unwrap_or(&said);
        Wrong::new(Position { line: e.line().max(1), column: e.column().max(1) }, why)
    };
    serde_json::from_str::<IgnoredAny>(text).map_err(wrong)?;
    yaml::document(text)
}
