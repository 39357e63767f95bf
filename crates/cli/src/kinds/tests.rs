//! What is rendered is what the clients' own tests compile: the same files.

use std::path::Path;

use tasktonic_protocol::http::Kind;

use super::{Language, types};

/// Compares with the file at `path`, or writes it where that is asked for.
fn is_kept(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("TASKTONIC_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{} is not what is rendered today; TASKTONIC_SNAPSHOTS=1 writes it:\n{text}",
        path.display()
    );
}

fn kinds() -> Vec<Kind> {
    serde_json::from_str(include_str!("../../../client/tests/kinds/kinds.json")).unwrap()
}

#[test]
fn the_rendered_rust_is_what_the_clients_tests_compile() {
    is_kept("crates/client/tests/kinds/generated.rs", &types(&kinds(), Language::Rust));
}

#[test]
fn the_rendered_typescript_is_what_the_packages_tests_compile() {
    is_kept("sdk/typescript/test/generated/kinds.ts", &types(&kinds(), Language::Ts));
}

#[test]
fn nothing_in_a_schema_ends_a_comment_or_a_text() {
    let mut kinds = kinds();
    kinds.truncate(1);
    kinds[0].description = Some("*/ evil();\n// \u{7} more".into());
    kinds[0].schema = serde_json::json!({
        "type": "object",
        "properties": { "a\"b\n": { "type": "string", "description": "*/ evil()\n}" } },
    });
    for language in [Language::Ts, Language::Rust] {
        let text = types(&kinds, language);
        assert!(!text.contains("*/ evil"), "{text}");
        assert!(
            text.lines().all(|line| !line.starts_with("// ") || !line.contains("more")),
            "{text}"
        );
        assert!(text.contains(r#""a\"b\n""#), "{text}");
    }
}
