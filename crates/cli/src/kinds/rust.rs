//! Payloads of kinds as Rust: a struct each that says its kind.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::shape::{Field, Payload, Shape, comment, type_name};

/// A module for these payloads.
pub(super) fn module(payloads: &[Payload]) -> String {
    let mut text = String::from(
        "//! Payloads of the kinds of one installation. Written by `tasktonic kinds --types rust`; write it\n\
         //! anew when kinds change.\n",
    );
    for payload in payloads {
        let mut types = Types { payload, done: Vec::new(), names: BTreeSet::new(), inside: None };
        types.names.insert(payload.name.clone());
        let about = payload.about.as_deref().map(comment).unwrap_or_default();
        let about = format!("`{}`: {about}", payload.kind);
        types.declare(&payload.name, &payload.shape, about.trim_end_matches([' ', ':']));
        for (name, shape) in &payload.definitions {
            let own = types.inner_name(name);
            types.inside = Some(name.clone());
            types.declare(&own, shape, &format!("`{name}` of `{}`.", payload.kind));
        }
        for done in types.done {
            text.push('\n');
            text.push_str(&done);
        }
        let (name, kind) = (&payload.name, literal(&payload.kind));
        let _ = write!(
            text,
            "\nimpl tasktonic_client::Payload for {name} {{\n    const KIND: &'static str = {kind};\n}}\n"
        );
    }
    text
}

struct Types<'a> {
    payload: &'a Payload,
    done: Vec<String>,
    names: BTreeSet<String>,
    /// The definition that is being declared.
    inside: Option<String>,
}

const DERIVE: &str = "#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]\n";

impl Types<'_> {
    fn inner_name(&self, name: &str) -> String {
        format!("{}{}", self.payload.name, type_name(name))
    }

    fn declare(&mut self, name: &str, shape: &Shape, about: &str) {
        // Its place comes before those of the types that it needs.
        let place = self.done.len();
        self.done.push(String::new());
        let mut text = format!("/// {about}\n{DERIVE}");
        match shape {
            Shape::Record(fields) => {
                let mut taken = BTreeSet::new();
                let spell = |field| self.field(name, field, &mut taken);
                let fields: Vec<_> = fields.iter().map(spell).collect();
                let _ = match fields.is_empty() {
                    true => writeln!(text, "pub struct {name} {{}}"),
                    false => writeln!(text, "pub struct {name} {{\n{}}}", fields.concat()),
                };
            }
            Shape::OneOf(values) if words(values).is_some() => {
                text.push_str(&enumeration(name, values));
            }
            shape => {
                let of = self.spelled(name, shape);
                let _ = write!(text, "#[serde(transparent)]\npub struct {name}(pub {of});\n");
            }
        }
        self.done[place] = text;
    }

    fn field(&mut self, owner: &str, field: &Field, taken: &mut BTreeSet<String>) -> String {
        let mut text = String::new();
        if let Some(about) = &field.about {
            let _ = writeln!(text, "    /// {}", comment(about));
        }
        let mut ident = ident(&field.name);
        while !taken.insert(ident.clone()) {
            ident.push('_');
        }
        let inner = format!("{owner}{}", type_name(&field.name));
        let of = self.spelled(&inner, &field.shape);
        let mut about = Vec::new();
        if ident.trim_start_matches("r#") != field.name {
            about.push(format!("rename = {}", literal(&field.name)));
        }
        let is_option = of.starts_with("Option<");
        if !field.required {
            about.push("default".into());
            about.push("skip_serializing_if = \"Option::is_none\"".into());
        }
        if !about.is_empty() {
            let _ = writeln!(text, "    #[serde({})]", about.join(", "));
        }
        let of = if field.required || is_option { of } else { format!("Option<{of}>") };
        let _ = writeln!(text, "    pub {ident}: {of},");
        text
    }

    fn spelled(&mut self, name: &str, shape: &Shape) -> String {
        match shape {
            Shape::Any | Shape::Null => "serde_json::Value".into(),
            Shape::Bool => "bool".into(),
            Shape::Integer(true) => "u64".into(),
            Shape::Integer(false) => "i64".into(),
            Shape::Number => "f64".into(),
            Shape::Text => "String".into(),
            Shape::List(of) => {
                let of = self.apart(&format!("{name}Item"), of);
                format!("Vec<{of}>")
            }
            Shape::Map(of) => {
                let of = self.apart(&format!("{name}Value"), of);
                format!("std::collections::BTreeMap<String, {of}>")
            }
            Shape::OneOf(values) if words(values).is_none() => "serde_json::Value".into(),
            Shape::Record(_) | Shape::OneOf(_) => {
                let mut own = name.to_owned();
                while !self.names.insert(own.clone()) {
                    own.push('_');
                }
                self.declare(
                    &own,
                    shape,
                    &format!("Part of the payload of `{}`.", self.payload.kind),
                );
                own
            }
            Shape::Union(parts) => match parts.as_slice() {
                [of, Shape::Null] | [Shape::Null, of] => {
                    format!("Option<{}>", self.spelled(name, of))
                }
                _ => "serde_json::Value".into(),
            },
            Shape::Named(of) if self.payload.definitions.contains_key(of) => {
                let own = self.inner_name(of);
                // What may hold itself must be behind a pointer.
                let holds = |inside: &String| {
                    inside == of || self.reaches(of, inside, &mut BTreeSet::new())
                };
                if self.inside.as_ref().is_some_and(holds) { format!("Box<{own}>") } else { own }
            }
            Shape::Named(_) => "serde_json::Value".into(),
        }
    }

    /// The same for what a list or a map holds: it is behind a pointer anyway.
    fn apart(&mut self, name: &str, shape: &Shape) -> String {
        let inside = self.inside.take();
        let of = self.spelled(name, shape);
        self.inside = inside;
        of
    }

    /// Whether the definition `from` holds `to` without a list or a map in between.
    fn reaches(&self, from: &str, to: &str, seen: &mut BTreeSet<String>) -> bool {
        fn named<'a>(shape: &'a Shape, found: &mut Vec<&'a str>) {
            match shape {
                Shape::Named(name) => found.push(name),
                Shape::Record(fields) => fields.iter().for_each(|field| named(&field.shape, found)),
                Shape::Union(parts) => parts.iter().for_each(|part| named(part, found)),
                _ => {}
            }
        }
        if !seen.insert(from.to_owned()) {
            return false;
        }
        let mut found = Vec::new();
        if let Some(shape) = self.payload.definitions.get(from) {
            named(shape, &mut found);
        }
        found.into_iter().any(|name| name == to || self.reaches(name, to, seen))
    }
}

/// The values if all are texts.
fn words(values: &[Value]) -> Option<Vec<&str>> {
    values.iter().map(Value::as_str).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

fn enumeration(name: &str, values: &[Value]) -> String {
    let mut text = format!("pub enum {name} {{\n");
    let mut seen = BTreeSet::new();
    for word in words(values).unwrap_or_default() {
        let mut variant = type_name(word);
        while !seen.insert(variant.clone()) {
            variant.push('_');
        }
        let about = comment(word);
        let _ = writeln!(text, "    /// `{about}`");
        let _ = writeln!(text, "    #[serde(rename = {})]\n    {variant},", literal(word));
    }
    text.push_str("}\n");
    text
}

/// Words of Rust that name no field unless they are written raw, and those that never do.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// A member's name as a field: `dry-run` as `dry_run`, `maxBytes` as `max_bytes`.
fn ident(name: &str) -> String {
    let mut ident = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && before_lower {
            ident.push('_');
        }
        before_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        ident.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    if ident.starts_with(|c: char| c.is_ascii_digit()) || ident.is_empty() {
        ident.insert(0, '_');
    }
    match ident.as_str() {
        "self" | "super" | "crate" | "_" => format!("{ident}_"),
        word if KEYWORDS.contains(&word) => format!("r#{word}"),
        _ => ident,
    }
}

fn literal(text: &str) -> String {
    format!("{text:?}")
}
