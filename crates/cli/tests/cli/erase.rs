//! One user: exported, imported elsewhere, and erased.

use crate::support::{Installation, refused, said, tasktonic, write};

/// Files of the store that hold this text.
fn traces(installation: &Installation, text: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(installation.data().join("store")).expect("a folder");
    let mut found = Vec::new();
    for file in files {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("it can be read");
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}

#[test]
fn one_user_is_exported_imported_elsewhere_and_erased_without_a_trace() {
    let mut installation = Installation::up(&[]);
    for _ in 0..5 {
        installation.submit("noop", r#"{"sleep_ms":1}"#, &["--tag", "erasable-label"]);
    }
    let id = installation.submit("noop", "{}", &["--follow", "--tag", "erasable-label"]);
    drop(installation.server.take());
    let store = format!("embedded:{}", installation.data().join("store").display());
    let export = |user: &str| said(tasktonic().args(["export", "--store", &store, "--user", user]));
    assert!(!export("nobody").contains("erasable-label"));
    let lines = export("demo");
    let label = r#"\"tags\":[\"erasable-label\"]"#;
    let tasks = lines.lines().filter(|line| line.contains(label)).count();
    assert_eq!(tasks, 6, "{lines}");
    assert!(!lines.contains("password"), "accounts are left out");
    let file = installation.scratch.join("demo.ndjson");
    write(&file, &lines);
    let other = format!("embedded:{}", installation.scratch.join("other").display());
    let mut import = tasktonic();
    import.args(["import", "--store", &other]);
    said(import.stdin(std::fs::File::open(&file).expect("it was written")));
    let again = said(tasktonic().args(["export", "--store", &other]));
    assert!(again.contains(&id));

    installation.start(&[]);
    assert!(!traces(&installation, "erasable-label").is_empty(), "the scan finds what is there");
    let (code, words) = refused(installation.client().args(["erase", "--confirm", "nobody"]));
    assert!(code == 1 && words.contains("confirm=demo"), "{words}");
    let told = said(installation.client().args(["erase", "--confirm", "demo"]));
    assert_eq!(told, "erased: 6 tasks, 0 files\n");
    for text in ["erasable-label", &id] {
        assert_eq!(traces(&installation, text), Vec::<std::path::PathBuf>::new());
    }
    installation.submit("noop", "{}", &["--follow"]);
}
