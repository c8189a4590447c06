//! The schema of plans, against what the program prints.

use backchat::admin::answers::PLAN_SCHEMA;
use serde_json::Value;

/// Fails with all that is not as the schema says.
pub(crate) fn is_a_plan(plan: &Value) {
    let schema = serde_json::from_str(PLAN_SCHEMA).unwrap();
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let wrong: Vec<_> = schema.iter_errors(plan).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{plan:#}");
}

/// A field that it does not name is wrong, and so is one that is missing.
#[test]
fn the_schema_is_strict() {
    let schema: Value = serde_json::from_str(PLAN_SCHEMA).unwrap();
    let plan: Value = serde_json::json!({"format": "backchat.plan/1", "more": 1});
    let wrong = jsonschema::validator_for(&schema).unwrap().iter_errors(&plan).count();
    assert!(wrong > 10, "only {wrong}");
}
