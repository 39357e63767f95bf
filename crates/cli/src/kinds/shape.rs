//! What a JSON Schema says of a payload, as far as types of languages can say it. What they cannot
//! (bounds, patterns) the server checks; what is not understood is any JSON. Knows no language.

use std::collections::BTreeMap;

use serde_json::Value;

/// How deep a schema is followed; below it anything goes.
const DEPTH_MAX: usize = 24;

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Any JSON.
    Any,
    Null,
    Bool,
    /// Whole; `true` if never below 0.
    Integer(bool),
    Number,
    Text,
    /// One of these values.
    OneOf(Vec<Value>),
    List(Box<Shape>),
    /// Names that are not known, all with values of one type.
    Map(Box<Shape>),
    Record(Vec<Field>),
    Union(Vec<Shape>),
    /// A definition of the same schema, by its name there.
    Named(String),
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) required: bool,
    pub(super) about: Option<String>,
}

/// The payload of one kind.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) kind: String,
    /// As a type is named: `ImagesResize`.
    pub(super) name: String,
    pub(super) about: Option<String>,
    pub(super) shape: Shape,
    /// Definitions by their name in the schema.
    pub(super) definitions: BTreeMap<String, Shape>,
}

impl Payload {
    /// The payloads of kinds, each with a type name of its own.
    pub(super) fn of_all(kinds: &[tasktonic_protocol::http::Kind]) -> Vec<Self> {
        let mut names = std::collections::BTreeSet::new();
        kinds
            .iter()
            .map(|kind| {
                let mut name = type_name(&kind.kind);
                while !names.insert(name.clone()) {
                    name.push('_');
                }
                let definitions = ["$defs", "definitions"]
                    .iter()
                    .filter_map(|key| kind.schema.get(key)?.as_object())
                    .flatten()
                    .map(|(name, schema)| (name.clone(), shape(schema, 0)))
                    .collect();
                Self {
                    kind: kind.kind.clone(),
                    about: kind.description.clone().or_else(|| kind.title.clone()),
                    shape: shape(&kind.schema, 0),
                    definitions,
                    name,
                }
            })
            .collect()
    }
}

/// The type that a schema describes.
fn shape(schema: &Value, depth: usize) -> Shape {
    let Some(members) = schema.as_object().filter(|_| depth < DEPTH_MAX) else { return Shape::Any };
    let inner = |schema: &Value| shape(schema, depth + 1);
    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
        let name =
            target.strip_prefix("#/$defs/").or_else(|| target.strip_prefix("#/definitions/"));
        return name.map_or(Shape::Any, |name| Shape::Named(name.to_owned()));
    }
    if let Some(value) = members.get("const") {
        return Shape::OneOf(vec![value.clone()]);
    }
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        return Shape::OneOf(values.clone());
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(parts) = members.get(key).and_then(Value::as_array) {
            return union(parts.iter().map(inner).collect());
        }
    }
    match members.get("type") {
        Some(Value::String(of)) => plain(of, schema, depth),
        Some(Value::Array(all)) => {
            let one = |of: &Value| of.as_str().map_or(Shape::Any, |of| plain(of, schema, depth));
            union(all.iter().map(one).collect())
        }
        None if members.contains_key("properties") => plain("object", schema, depth),
        _ => match members.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([one]) => inner(one),
            _ => Shape::Any,
        },
    }
}

fn plain(of: &str, schema: &Value, depth: usize) -> Shape {
    match of {
        "null" => Shape::Null,
        "boolean" => Shape::Bool,
        "integer" => {
            let least = schema.get("minimum").and_then(Value::as_f64);
            Shape::Integer(least.is_some_and(|least| least >= 0.0))
        }
        "number" => Shape::Number,
        "string" => Shape::Text,
        "array" => {
            let items = schema.get("items").map_or(Shape::Any, |items| shape(items, depth + 1));
            Shape::List(Box::new(items))
        }
        "object" => record(schema, depth),
        _ => Shape::Any,
    }
}

fn record(schema: &Value, depth: usize) -> Shape {
    // What must be together with other members cannot be said by a plain record.
    let Some(members) = schema.get("properties").and_then(Value::as_object) else {
        return match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => Shape::Map(Box::new(shape(values, depth + 1))),
            _ => Shape::Map(Box::new(Shape::Any)),
        };
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
    let field = |(name, schema): (&String, &Value)| Field {
        name: name.clone(),
        shape: shape(schema, depth + 1),
        required: is_required(name),
        about: schema.get("description").and_then(Value::as_str).map(ToOwned::to_owned),
    };
    Shape::Record(members.iter().map(field).collect())
}

fn union(mut parts: Vec<Shape>) -> Shape {
    if parts.contains(&Shape::Any) || parts.is_empty() {
        return Shape::Any;
    }
    // Variants that are each one value are an enumeration.
    if parts.len() > 1 && parts.iter().all(|part| matches!(part, Shape::OneOf(_))) {
        let values = parts.into_iter().flat_map(|part| match part {
            Shape::OneOf(values) => values,
            _ => Vec::new(),
        });
        return Shape::OneOf(values.collect());
    }
    if parts.len() == 1 { parts.remove(0) } else { Shape::Union(parts) }
}

/// `images.resize` as `ImagesResize`.
pub(super) fn type_name(text: &str) -> String {
    let mut name = String::new();
    for part in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        let mut chars = part.chars();
        name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(chars.as_str());
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        name.insert(0, 'K');
    }
    name
}

/// A text of somebody else's as one line of a comment: nothing in it ends the comment.
pub(super) fn comment(text: &str) -> String {
    let line: Vec<_> = text.split_whitespace().collect();
    let line = line.join(" ").replace("*/", "* /");
    line.chars().filter(|c| !c.is_control()).collect()
}
