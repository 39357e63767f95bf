//! How many tasks there are, what they hold and may hold, and which of one's own go first.

use serde_json::Value;

use crate::support::{Installation, PATIENCE, operator, refused, said};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON value")
}

#[test]
fn a_user_holds_what_is_set_and_no_more_and_is_told() {
    let installation = Installation::up(&[]);
    let id = installation.submit("noop", "{}", &["--priority", "low"]);
    installation.wait_for(&id, "completed", PATIENCE);
    assert_eq!(installation.task(&id)["priority"], "low");

    let counts = json(&said(installation.client().args(["task", "counts", "--json"])));
    assert_eq!((&counts["completed"], &counts["all"]), (&Value::from(1), &Value::from(1)));
    let table = said(installation.client().args(["task", "counts"]));
    assert!(table.contains("completed"), "{table}");
    let held = json(&said(installation.client().args(["bytes", "show", "--json"])));
    assert_eq!((&held["bytes"], &held["bytes_max"]), (&counts["bytes"], &Value::Null));

    let (code, _) = refused(installation.client().args(["bytes", "set", "1GB"]));
    assert_eq!(code, 1, "limits are set by operators");
    let (code, words) = refused(operator(&installation).args(["bytes", "set", "much"]));
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("5GB"), "{words}");

    let of_one = ["bytes", "set", "10B", "--user", "demo", "--json"];
    let held = json(&said(operator(&installation).args(of_one)));
    assert_eq!((&held["bytes_max"], &held["own_max"]), (&Value::from(10), &Value::from(10)));
    let (code, words) = refused(installation.client().args(["submit", "noop"]));
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("as much as they may") && words.contains("Remove some"), "{words}");
    said(operator(&installation).args(["bytes", "set", "none", "--user", "demo", "--json"]));
    installation.submit("noop", "{}", &[]);
}
