//! The kinds that can be submitted: their records as workers announced them, their schemas
//! compiled once per version, and the check of a payload against one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use jsonschema::{PatternOptions, Validator};
use parking_lot::RwLock;
use serde_json::Value;
use tasktonic_core::Labels;
use tasktonic_files::FileId;
use tasktonic_protocol::http::{BUILT_IN, KindList};
use tasktonic_protocol::problem::{Code, FieldError};
use tasktonic_protocol::worker::{KindRecord, WorkerRecord};
use tasktonic_store::{Entry, Store, Table};

use super::access::{Need, check_any};
use super::operation::{Body, Operation};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// How long a known kind is used without asking the registry whether it has changed.
const FRESH: Duration = Duration::from_secs(1);
/// Kinds kept compiled; above it those least lately asked for are compiled again.
const COMPILED_MAX: usize = 1_024;
/// Faults listed in one answer.
const FAULTS_MAX: usize = 32;
/// Longest text about one fault, in bytes.
const FAULT_BYTES_MAX: usize = 400;
/// Steps back that one pattern of a schema may take.
const BACKTRACK_MAX: usize = 100_000;
/// Files named by one payload.
const FILES_MAX: usize = 1_000;
/// The format of a string that is a file's id.
const FILE: &str = "file";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/kinds", "kinds", list)
            .about("What can be submitted, with the JSON Schema of each payload.")
            .answers(200, "Kinds by name.", Body::Json("KindList")),
    ]
}

/// A kind that is ready to check payloads.
pub(crate) struct Compiled {
    /// The kind as it was announced.
    pub(super) record: KindRecord,
    version: u64,
    schema: Schema,
    asked: Instant,
}

/// A compiled schema.
pub(super) struct Schema {
    validator: Validator,
    /// Whether any string in it is a file's id.
    names_files: bool,
}

/// A file that a payload names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) pointer: String,
    pub(super) id: FileId,
}

impl Schema {
    /// A schema ready for use. References to other documents are refused.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_MAX))
            .should_validate_formats(true)
            .with_format(FILE, |text: &str| text.parse::<FileId>().is_ok())
            .build(schema)
            .map_err(|error| error.to_string())?;
        Ok(Self { validator, names_files: names_files(schema) })
    }

    /// Checks a payload, and answers the files it names.
    ///
    /// # Errors
    /// Every fault with its place, up to [`FAULTS_MAX`].
    pub(super) fn check(&self, payload: &Value) -> Result<Vec<NamedFile>, Vec<FieldError>> {
        if !self.validator.is_valid(payload) {
            let fault = |error: jsonschema::ValidationError<'_>| FieldError {
                pointer: error.instance_path().as_str().to_owned(),
                // The value is the caller's own, but it may be a password: it is not repeated.
                detail: cut(error.masked_with("").to_string().trim_start()),
            };
            return Err(self.validator.iter_errors(payload).take(FAULTS_MAX).map(fault).collect());
        }
        if !self.names_files {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        let evaluation = self.validator.evaluate(payload);
        for entry in evaluation.iter_annotations() {
            if !entry.schema_location.ends_with("/format")
                || entry.annotations.value().as_str() != Some(FILE)
            {
                continue;
            }
            let pointer = entry.instance_location.as_str();
            let text = payload.pointer(pointer).and_then(Value::as_str);
            let Some(id) = text.and_then(|text| text.parse().ok()) else { continue };
            let named = NamedFile { pointer: pointer.to_owned(), id };
            if !files.contains(&named) {
                files.push(named);
            }
            if files.len() > FILES_MAX {
                let detail = format!("names more than {FILES_MAX} files; split the task");
                return Err(vec![FieldError { pointer: String::new(), detail }]);
            }
        }
        Ok(files)
    }
}

fn names_files(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("format").and_then(Value::as_str) == Some(FILE)
                || members.values().any(names_files)
        }
        Value::Array(items) => items.iter().any(names_files),
        _ => false,
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(FAULT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The kinds this process has compiled.
#[derive(Default)]
pub(crate) struct Kinds(RwLock<HashMap<String, Arc<Compiled>>>);

impl Kinds {
    /// The kind of this name, as it stood in the registry at most [`FRESH`] ago.
    ///
    /// # Errors
    /// `kind_unknown` if no worker ever announced it.
    pub(super) async fn find(
        &self,
        store: &dyn Store,
        kind: &str,
    ) -> Result<Arc<Compiled>, Refusal> {
        let known = self.0.read().get(kind).cloned();
        if let Some(known) = &known
            && known.asked.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        if kind.parse::<tasktonic_core::Name>().is_err() {
            return Err(unknown());
        }
        let Some(entry) = store.registry().get(Table::Kinds, kind).await? else {
            self.0.write().remove(kind);
            return Err(unknown());
        };
        let asked = Instant::now();
        let compiled = match known {
            Some(known) if known.version == entry.version => Compiled {
                record: known.record.clone(),
                version: known.version,
                schema: Schema {
                    validator: known.schema.validator.clone(),
                    names_files: known.schema.names_files,
                },
                asked,
            },
            _ => {
                let record = record(&entry)?;
                let schema = Schema::compile(&record.schema).map_err(|fault| {
                    Refusal::internal(&format!("the schema of kind {kind} is unusable: {fault}"))
                })?;
                Compiled { record, version: entry.version, schema, asked }
            }
        };
        let compiled = Arc::new(compiled);
        let mut all = self.0.write();
        if all.len() >= COMPILED_MAX && !all.contains_key(kind) {
            let oldest = all.iter().min_by_key(|(_, c)| c.asked).map(|(kind, _)| kind.clone());
            oldest.and_then(|kind| all.remove(&kind));
        }
        all.insert(kind.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }

    /// How many places of a worker a task of this kind takes; 1 where nobody has announced it.
    pub(super) async fn places(&self, store: &dyn Store, kind: &str) -> Result<u32, Refusal> {
        match self.find(store, kind).await {
            Ok(known) => Ok(known.record.places),
            Err(refusal) if refusal.code == Code::KindUnknown => Ok(1),
            Err(refusal) => Err(refusal),
        }
    }

    /// Forgets what is known of a kind, because it was just announced anew.
    pub(super) fn forget(&self, kind: &str) {
        self.0.write().remove(kind);
    }
}

impl Compiled {
    /// Checks a payload, and answers the files it names.
    pub(super) fn check(&self, payload: &Value) -> Result<Vec<NamedFile>, Vec<FieldError>> {
        self.schema.check(payload)
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::KindUnknown,
        "Choose one of the kinds listed at `GET /api/v1/kinds`, or start a worker that knows it.",
    )
}

fn record(entry: &Entry) -> Result<KindRecord, Refusal> {
    serde_json::from_str(&entry.value).map_err(|error| {
        Refusal::internal(&format!("the record of kind {} cannot be read: {error}", entry.key))
    })
}

/// Workers heard of lately, by id. Records that cannot be read are left out, and so are the product's
/// own, which serve nobody's kinds.
pub(super) async fn workers_alive(app: &App) -> Result<Vec<WorkerRecord>, Refusal> {
    let now_ms = app.clock.now_ms();
    let entries = app.store.registry().list(Table::Workers).await?;
    let read = |entry: Entry| serde_json::from_str::<WorkerRecord>(&entry.value).ok();
    let is_ours = |worker: &WorkerRecord| {
        !worker.kinds.is_empty() && worker.kinds.iter().all(|kind| kind.starts_with(BUILT_IN))
    };
    let shown = |worker: &WorkerRecord| worker.is_alive(now_ms) && !is_ours(worker);
    Ok(entries.into_iter().filter_map(read).filter(shown).collect())
}

async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<KindList>, Refusal> {
    // A worker looks which kinds its queues have before it claims from them.
    check_any(&caller, &[Need::ReadTasks, Need::Work])?;
    let workers = workers_alive(&app).await?;
    let entries = app.store.registry().list(Table::Kinds).await?;
    let mut kinds = Vec::with_capacity(entries.len());
    for entry in entries {
        // One record that cannot be read must not hide the others.
        let Ok(record) = record(&entry) else { continue };
        // Nobody submits these.
        if record.kind.starts_with(BUILT_IN) {
            continue;
        }
        let needs = Labels::new(&record.needs).unwrap_or_default();
        let served = workers.iter().any(|worker| worker.takes(&record.kind, &needs));
        kinds.push(record.shown(served));
    }
    Ok(Json(KindList { kinds }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_fault_has_its_place_and_not_its_value() {
        let schema = json!({
            "type": "object",
            "properties": { "a": { "items": { "type": "string" } }, "n/m": { "maximum": 3 } },
        });
        let schema = Schema::compile(&schema).unwrap();
        let faults = schema.check(&json!({ "a": ["x", 77123], "n/m": 99321 })).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(places, ["/a/1", "/n~1m"]);
        assert_eq!(faults[0].detail, r#"is not of type "string""#);
        assert!(
            !format!("{faults:?}").contains("77123") && !format!("{faults:?}").contains("99321")
        );
    }

    #[test]
    fn files_are_found_wherever_the_schema_says_so_and_nowhere_else() {
        let schema = json!({
            "$defs": { "photo": { "type": "string", "format": "file" } },
            "properties": {
                "photos": { "items": { "$ref": "#/$defs/photo" } },
                "note": { "type": "string" },
                "either": { "anyOf": [
                    { "type": "object", "properties": { "f": { "format": "file" } }, "required": ["f"] },
                    { "type": "string" },
                ] },
            },
        });
        let schema = Schema::compile(&schema).unwrap();
        let payload = json!({ "photos": [ID, ID], "note": ID, "either": { "f": ID } });
        let mut places: Vec<_> =
            schema.check(&payload).unwrap().into_iter().map(|file| file.pointer).collect();
        places.sort();
        assert_eq!(places, ["/either/f", "/photos/0", "/photos/1"]);
        assert_eq!(schema.check(&json!({ "either": ID })).unwrap(), []);
        let faults = schema.check(&json!({ "photos": ["../etc"] })).unwrap_err();
        assert_eq!(faults[0].pointer, "/photos/0");
    }

    #[test]
    fn a_schema_may_not_refer_to_another_document() {
        for reference in ["https://example.com/a.json", "file:///etc/passwd"] {
            assert!(Schema::compile(&json!({ "$ref": reference })).is_err());
        }
    }

    #[test]
    fn faults_are_listed_up_to_their_limit() {
        let schema = Schema::compile(&json!({ "items": { "type": "string" } })).unwrap();
        let many = vec![json!(1); FAULTS_MAX + 10];
        assert_eq!(schema.check(&json!(many)).unwrap_err().len(), FAULTS_MAX);
    }
}
