//! A kind as `tasktonic.toml` declares it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tasktonic_core::ids::IdError;
use tasktonic_core::{Labels, Name};
use tasktonic_protocol::worker::KindRecord;

use super::policy::{self, DeclaredBackoff, DeclaredKeep, DeclaredRule};
use super::{LOG_LINES_MAX_DEFAULT, PRINTED_BYTES_MAX_DEFAULT};
use crate::SHIPPED_KINDS;

/// Largest schema file, in bytes.
const SCHEMA_BYTES_MAX: u64 = 256 * 1024;

/// A kind that runs a program, ready to be registered with a worker.
#[derive(Clone)]
pub struct ExecKind {
    pub(super) record: KindRecord,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Environment,
    pub(super) folder: Option<PathBuf>,
    pub(super) log_lines_max: u64,
    pub(super) printed_bytes_max: u64,
    /// Whether it gets what became of the tasks that its own waited for.
    pub(super) wants_inputs: bool,
}

/// What is wrong with a declaration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeclareError {
    /// It cannot be read.
    #[error("line {line}: {message}")]
    Toml {
        /// In the text, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It can be read and makes no sense.
    #[error("[[exec]] kind = \"{kind}\": {message}")]
    Kind {
        /// The kind.
        kind: String,
        /// What is wrong and what to do.
        message: String,
    },
}

/// The part of the configuration that is ours; the rest belongs to others.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    exec: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    kind: String,
    command: Vec<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    queue: Option<String>,
    #[serde(default)]
    schema: Option<Schema>,
    #[serde(default)]
    example: Option<toml::Value>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    soft_timeout: Option<String>,
    #[serde(default)]
    attempts_max: Option<u32>,
    #[serde(default)]
    crashes_max: Option<u32>,
    #[serde(default)]
    backoff: Option<DeclaredBackoff>,
    #[serde(default)]
    rules: Vec<DeclaredRule>,
    #[serde(default)]
    keep: Option<DeclaredKeep>,
    #[serde(default)]
    rewinds: bool,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    places: Option<u32>,
    #[serde(default)]
    inputs: bool,
    #[serde(default)]
    env: Environment,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    output_lines: Option<u64>,
    #[serde(default)]
    output_bytes: Option<u64>,
}

/// Variables beside the usual ones: those passed on by name, and those set here.
#[derive(Clone, Default)]
pub(super) struct Environment {
    pub(super) passed: Vec<String>,
    pub(super) set: BTreeMap<String, String>,
}

enum Schema {
    Inline(toml::Table),
    File(PathBuf),
}

impl ExecKind {
    /// Reads every `[[exec]]` of a configuration; other tables are left alone. Paths in it are
    /// relative to `base`, the folder of the configuration.
    ///
    /// # Errors
    /// The first declaration that is wrong. The text never contains a value of `env`.
    pub fn parse_all(toml: &str, base: &Path) -> Result<Vec<Self>, DeclareError> {
        let document: Document = toml::from_str(toml).map_err(|error| {
            // Its own text quotes the line, and a line may hold a secret.
            let at = error.span().map_or(0, |span| span.start.min(toml.len()));
            let line = toml.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            DeclareError::Toml { line, message: error.message().to_owned() }
        })?;
        let mut names: HashSet<String> = SHIPPED_KINDS.iter().map(ToString::to_string).collect();
        let mut kinds = Vec::new();
        for declared in document.exec {
            let kind = declared.kind.clone();
            let wrong = |message: String| DeclareError::Kind { kind: kind.clone(), message };
            if !names.insert(kind.clone()) {
                return Err(wrong(
                    "there is a kind of this name already; choose another name".into(),
                ));
            }
            kinds.push(Self::of(declared, base).map_err(wrong)?);
        }
        Ok(kinds)
    }

    /// Its name.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.record.kind
    }

    fn of(declared: Declared, base: &Path) -> Result<Self, String> {
        let Declared {
            kind,
            command,
            title,
            description,
            queue,
            schema,
            example,
            timeout,
            soft_timeout,
            attempts_max,
            crashes_max,
            backoff,
            rules,
            keep,
            rewinds,
            needs,
            places,
            inputs,
            env,
            cwd,
            output_lines,
            output_bytes,
        } = declared;
        for name in [Some(&kind), queue.as_ref()].into_iter().flatten() {
            match name.parse::<Name>() {
                Ok(known) if known.is_plain() => {}
                _ => return Err(IdError::Name.to_string()),
            }
        }
        let needs = Labels::new(needs).map_err(|error| format!("needs: {error}"))?;
        let mut command = command.into_iter();
        let program = command.next().filter(|program| !program.is_empty());
        let program =
            program.ok_or("command needs a program: command = [\"prog\", \"argument\"]")?;
        let program = if program.contains('/') { base.join(program) } else { program.into() };
        let schema = match schema {
            None => json!({ "type": "object" }),
            Some(Schema::Inline(table)) => json_of(table.into())?,
            Some(Schema::File(path)) => read_schema(&base.join(path))?,
        };
        for name in env.passed.iter().chain(env.set.keys()) {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!("env: {name:?} cannot be the name of a variable"));
            }
            if name.starts_with("TASKTONIC_") {
                return Err(format!("env: {name} is set by Task Tonic itself; remove it"));
            }
        }
        if let Some((name, _)) = env.set.iter().find(|(_, value)| value.contains('\0')) {
            return Err(format!("env: the value of {name} contains a zero byte"));
        }
        let limit = |name: &str, text: Option<String>| match text {
            Some(text) => policy::limit_ms(name, &text).map(Some),
            None => Ok(None),
        };
        let rules = rules.into_iter().map(DeclaredRule::rule).collect::<Result<Vec<_>, _>>()?;
        let plain = KindRecord::new(kind);
        let record = KindRecord {
            queue: queue.unwrap_or_else(|| plain.queue.clone()),
            title,
            description,
            schema,
            attempts_max: attempts_max.unwrap_or(plain.attempts_max),
            crashes_max,
            backoff: backoff.map(DeclaredBackoff::backoff).transpose()?,
            rules: (!rules.is_empty()).then_some(rules),
            timeout_ms: limit("timeout", timeout)?,
            soft_timeout_ms: limit("soft_timeout", soft_timeout)?,
            keep: keep.map(DeclaredKeep::keep).transpose()?,
            rewinds,
            needs: needs.texts(),
            places: places.unwrap_or(plain.places),
            example: example.map(json_of).transpose()?,
            ..plain
        };
        if let Some(fault) = record.policy().faults().first() {
            return Err(policy::as_declared(fault));
        }
        if let Some(fault) = record.fault_of_places() {
            return Err(format!("places {fault}"));
        }
        Ok(Self {
            record,
            program,
            arguments: command.collect(),
            environment: env,
            folder: cwd.map(|cwd| base.join(cwd)),
            log_lines_max: output_lines.unwrap_or(LOG_LINES_MAX_DEFAULT),
            printed_bytes_max: output_bytes.unwrap_or(PRINTED_BYTES_MAX_DEFAULT),
            wants_inputs: inputs,
        })
    }
}

fn read_schema(path: &Path) -> Result<Value, String> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("schema {shown}: {error}"))?.len();
    if size > SCHEMA_BYTES_MAX {
        return Err(format!("schema {shown} has more than {SCHEMA_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("schema {shown}: {error}"))?;
    let schema: Value = serde_json::from_str(&text)
        .map_err(|error| format!("schema {shown} is no JSON: {error}"))?;
    if !schema.is_object() {
        return Err(format!("schema {shown} is no JSON Schema: it must be an object"));
    }
    Ok(schema)
}

/// TOML as JSON: dates become texts.
fn json_of(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .ok_or("JSON has no infinite numbers and no NaN")?
            .into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => {
            let members = table.into_iter().map(|(key, value)| Ok((key, json_of(value)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from)? {
            toml::Value::String(path) => Ok(Self::File(path.into())),
            toml::Value::Table(table) => Ok(Self::Inline(table)),
            _ => Err(de::Error::custom(
                "schema is a table with a JSON Schema, or the path of a file with one",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Environment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names to pass on, or a table of names and texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Environment, A::Error> {
                let mut passed = Vec::new();
                while let Some(name) = names.next_element()? {
                    passed.push(name);
                }
                Ok(Environment { passed, set: BTreeMap::new() })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Environment, A::Error> {
                let mut set = BTreeMap::new();
                while let Some(name) = members.next_key::<String>()? {
                    let toml::Value::String(value) = members.next_value()? else {
                        return Err(de::Error::custom(format!(
                            "env.{name} must be a text in quotes"
                        )));
                    };
                    set.insert(name, value);
                }
                Ok(Environment { passed: Vec::new(), set })
            }
        }
        from.deserialize_any(Either)
    }
}

// Values and arguments may be secrets.
impl fmt::Debug for ExecKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecKind")
            .field("kind", &self.record.kind)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tasktonic_protocol::policy::{Action, Backoff, Rule};

    use super::*;

    fn one(toml: &str) -> ExecKind {
        let mut all = ExecKind::parse_all(toml, Path::new("/etc/tonic")).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn refusal(toml: &str) -> String {
        ExecKind::parse_all(toml, Path::new("/etc/tonic")).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_declaration_is_read_and_other_tables_are_left_alone() {
        let kind = one(r#"
            [server]
            listen = "127.0.0.1:8080"
            [[exec]]
            kind = "report.render"
            queue = "slow"
            command = ["bin/render", "--fast"]
            title = "Render a report"
            description = "Makes a PDF."
            schema = { type = "object", required = ["id"], properties = { id = { type = "integer", title = "Id" } } }
            example = { id = 7 }
            timeout = "1h 30m"
            soft_timeout = "1h"
            attempts_max = 2
            crashes_max = 1
            backoff = { waits = ["1s", "1m"], jitter = 0 }
            rules = [
                { code = "no_report", action = "bury" },
                { code = "busy", action = "again_after", after = "30s" },
                { code = "db_*", action = "again", backoff = { base = "100ms", factor = 3, max = "1m" } },
                { code = "*", action = "again", backoff = { wait = "5s" } },
            ]
            keep = { completed = "1h", failed = "30d" }
            rewinds = true
            needs = ["gpu", "eu"]
            places = 4
            env = ["DATABASE_URL"]
            cwd = "work"
            output_lines = 10
            "#);
        assert_eq!(kind.record.queue, "slow");
        assert_eq!(kind.record.timeout_ms, Some(5_400_000));
        assert_eq!(kind.record.attempts_max, 2);
        assert_eq!(
            (&kind.record.needs[..], kind.record.places),
            (&["eu".into(), "gpu".into()][..], 4)
        );
        let policy = kind.record.policy();
        assert_eq!((policy.soft_timeout_ms, policy.crashes_max), (Some(3_600_000), Some(1)));
        let list = Backoff::List { waits_ms: vec![1_000, 60_000], jitter: 0.0 };
        assert_eq!(policy.backoff, Some(list));
        let grows = Backoff::Exponential { base_ms: 100, factor: 3.0, max_ms: 60_000, jitter: 0.2 };
        let steady = Backoff::Fixed { wait_ms: 5_000, jitter: 0.2 };
        let rules = [
            Rule::new("no_report", Action::Bury),
            Rule { after_ms: Some(30_000), ..Rule::new("busy", Action::AgainAfter) },
            Rule { backoff: Some(grows), ..Rule::new("db_*", Action::Again) },
            Rule { backoff: Some(steady), ..Rule::new("*", Action::Again) },
        ];
        assert_eq!(policy.rules.as_deref(), Some(&rules[..]));
        assert_eq!(policy.keep_s(), Some([3_600, 86_400, 30 * 86_400]));
        assert!(kind.record.rewinds);
        assert_eq!(kind.record.schema["properties"]["id"]["type"], "integer");
        assert_eq!(kind.record.example, Some(json!({ "id": 7 })));
        assert_eq!(kind.program, Path::new("/etc/tonic/bin/render"));
        assert_eq!(kind.folder.as_deref(), Some(Path::new("/etc/tonic/work")));
        assert_eq!(kind.environment.passed, ["DATABASE_URL"]);
        assert_eq!((kind.log_lines_max, kind.printed_bytes_max), (10, PRINTED_BYTES_MAX_DEFAULT));
    }

    #[test]
    fn little_is_enough() {
        let kind = one("[[exec]]\nkind = 'hello'\ncommand = ['echo']");
        assert_eq!(
            (kind.record.queue.as_str(), kind.program.as_path()),
            ("hello", Path::new("echo"))
        );
        assert_eq!((kind.record.schema, kind.record.places), (json!({ "type": "object" }), 1));
        assert!(ExecKind::parse_all("", Path::new(".")).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let start = "[[exec]]\nkind = 'a'\ncommand = ['x']\n";
        for (toml, expected) in [
            (format!("{start}comand = 1"), "line 4: unknown field `comand`"),
            ("[[exec]]\nkind = 'a'".to_owned(), "missing field `command`"),
            (format!("{start}{start}"), "there is a kind of this name already"),
            (
                "[[exec]]\nkind = 'noop'\ncommand = ['x']".to_owned(),
                "there is a kind of this name already",
            ),
            ("[[exec]]\nkind = 'a b'\ncommand = ['x']".to_owned(), "1 to 64 characters"),
            ("[[exec]]\nkind = 'a'\ncommand = []".to_owned(), "needs a program"),
            ("[[exec]]\nkind = 'a'\ncommand = 'x y'".to_owned(), "expected a sequence"),
            (format!("{start}timeout = 'soon'"), "like \"90s\""),
            (format!("{start}timeout = '0s'"), "longer than nothing"),
            (format!("{start}timeout = '-3s'"), "like \"90s\""),
            (format!("{start}attempts_max = 0"), "attempts_max is 1 to"),
            (format!("{start}places = 0"), "places is 1 to 1024"),
            (format!("{start}places = 'all'"), "invalid type"),
            (format!("{start}crashes_max = 51"), "crashes_max is 1 to 50"),
            (
                format!("{start}timeout = '1m'\nsoft_timeout = '1m'"),
                "soft_timeout has to be below timeout",
            ),
            (format!("{start}backoff = {{ }}"), "says `wait`, `waits`, or"),
            (format!("{start}backoff = {{ wait = '1s', waits = ['1s'] }}"), "one of them"),
            (format!("{start}backoff = {{ wait = '1s', factor = 2 }}"), "one of them"),
            (format!("{start}backoff = {{ wait = '31d' }}"), "backoff.wait is 0s to 30d"),
            (
                format!("{start}backoff = {{ base = '1s', factor = 0.5 }}"),
                "backoff.factor is 1 to 100",
            ),
            (format!("{start}backoff = {{ wait = 'long' }}"), "like \"90s\""),
            (
                format!("{start}rules = [{{ code = 'a', action = 'stop' }}]"),
                "unknown variant `stop`",
            ),
            (
                format!("{start}rules = [{{ code = 'a', action = 'again_after' }}]"),
                "rules.0.after is needed",
            ),
            (format!("{start}rules = [{{ code = '*a', action = 'bury' }}]"), "rules.0.code"),
            (format!("{start}keep = {{ completed = '30s' }}"), "keep.completed is 1min to 366d"),
            (format!("{start}keep = {{ dead = '30d' }}"), "unknown field `dead`"),
            (format!("{start}schema = 3"), "schema is a table"),
            (format!("{start}schema = 'none.json'"), "/etc/tonic/none.json"),
            (format!("{start}env = ['A=B']"), "name of a variable"),
            (format!("{start}env = ['TASKTONIC_TASK']"), "set by Task Tonic"),
            (format!("{start}env = 3"), "a list of names"),
        ] {
            let found = refusal(&toml);
            assert!(found.contains(expected), "{toml}\nsaid {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_secret_is_neither_in_an_error_nor_in_debug() {
        let found = refusal(
            "[[exec]]\nkind = 'a'\ncommand = ['x']\nenv = { TOKEN = 's3cret', PIN = 4711 }",
        );
        assert!(
            found.contains("env.PIN") && !found.contains("4711") && !found.contains("s3cret"),
            "{found}"
        );
        let kind =
            one("[[exec]]\nkind = 'a'\ncommand = ['x', 's3cret']\nenv = { TOKEN = 's3cret' }");
        assert!(!format!("{kind:?}").contains("s3cret"));
    }
}
