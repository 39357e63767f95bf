//! Rendered types of payloads: they say their kind, and write the JSON that the schema asks for.

#[expect(unreachable_pub, reason = "it is written for crates whose users see it")]
#[path = "kinds/generated.rs"]
mod kinds;

use serde_json::{Value, json};
use tasktonic_client::{Payload, submission_of};

fn sent(payload: &impl Payload) -> (String, Value) {
    let request = submission_of(payload).expect("JSON");
    (request.kind, serde_json::from_str(request.payload.get()).expect("JSON"))
}

#[test]
fn a_typed_payload_is_sent_as_its_kinds_schema_says() {
    let photos = kinds::ImagesResize {
        files: vec!["a".into()],
        max_width: 800,
        format: Some(kinds::ImagesResizeFormat::WebP),
        quality: None,
        crop: Some(kinds::ImagesResizeCrop { x: 1, y: -2 }),
    };
    let wanted = json!({
        "files": ["a"], "maxWidth": 800, "format": "web-p", "crop": { "x": 1, "y": -2 },
    });
    assert_eq!(sent(&photos), ("images.resize".into(), wanted));

    let leaf = kinds::TreeWalkNode { name: "leaf".into(), next: None, children: None };
    let root = kinds::TreeWalkNode {
        name: "root".into(),
        next: Some(Box::new(leaf.clone())),
        children: Some(vec![leaf]),
    };
    let walk = kinds::TreeWalk {
        root,
        r#type: "deep".into(),
        labels: None,
        level: Some(json!(2)),
        rest: None,
    };
    let wanted = json!({
        "root": { "name": "root", "next": { "name": "leaf" }, "children": [{ "name": "leaf" }] },
        "type": "deep",
        "level": 2,
    });
    assert_eq!(sent(&walk), ("tree.walk".into(), wanted));
    assert_eq!(sent(&kinds::Anything(json!([1]))), ("anything".into(), json!([1])));
}
