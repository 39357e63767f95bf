//! All handlers together: what is announced of them.

use std::path::Path;

use tasktonic_handlers::{ExecKind, HandlersConfig, SHIPPED_KINDS, shipped};

#[test]
fn every_kind_is_announced_with_words_and_a_schema_that_is_one() {
    let exec =
        ExecKind::parse_all("[[exec]]\nkind = 'mine'\ncommand = ['true']", Path::new(".")).unwrap();
    let config = HandlersConfig { exec, ..HandlersConfig::default() };
    let records: Vec<_> = shipped(&config).iter().map(|handler| handler.record()).collect();
    let kinds: Vec<_> = records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, [SHIPPED_KINDS.as_slice(), &["mine"]].concat());
    for record in records {
        jsonschema::meta::validate(&record.schema)
            .unwrap_or_else(|error| panic!("{}: {error}", record.kind));
        let validator = jsonschema::validator_for(&record.schema).unwrap();
        assert!(!validator.is_valid(&serde_json::json!([])), "{} takes a list", record.kind);
        if record.kind == "mine" {
            continue;
        }
        assert!(
            record.title.is_some() && record.description.is_some() && record.example.is_some(),
            "{}",
            record.kind
        );
        assert_eq!(record.schema["additionalProperties"], false, "{}", record.kind);
        for (name, property) in record.schema["properties"].as_object().unwrap() {
            assert!(
                property["title"].is_string() && property["description"].is_string(),
                "{} {name}: {property}",
                record.kind
            );
        }
    }
}

#[test]
fn the_configuration_refuses_names_it_does_not_know() {
    let config: HandlersConfig =
        toml::from_str("[http]\nallow_private = true\nallow_hosts = ['intranet']").unwrap();
    assert!(config.http.allow_private && config.http.allow_hosts == ["intranet"]);
    assert!(toml::from_str::<HandlersConfig>("[http]\nallow_all = true").is_err());
}
