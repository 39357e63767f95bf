//! Payloads of kinds as TypeScript: an interface each, and a `submit` that takes no other.

use std::fmt::Write as _;

use super::shape::{Field, Payload, Shape, comment, type_name};

/// A module for these payloads.
pub(super) fn module(payloads: &[Payload]) -> String {
    let mut text = String::from(
        "// Payloads of the kinds of one installation. Written by `tasktonic kinds --types ts`; write it anew\n\
         // when kinds change.\n\
         import type { ApiClient, Json, SubmitRequest, Task } from \"@tasktonic/client\";\n",
    );
    for payload in payloads {
        text.push('\n');
        let _ = writeln!(text, "{}", about(payload.about.as_deref(), &payload.kind));
        declare(&mut text, payload, &payload.name, &payload.shape);
        for (name, shape) in &payload.definitions {
            text.push('\n');
            declare(&mut text, payload, &inner_name(payload, name), shape);
        }
    }
    text.push_str("\n/** The payload of each kind. */\nexport interface Payloads {\n");
    for payload in payloads {
        let _ = writeln!(text, "  {}: {};", member(&payload.kind), payload.name);
    }
    text.push_str(
        "}\n\n\
         /** Submits a task; a payload of another kind, or a misspelt member, does not compile. */\n\
         export const submit = <K extends keyof Payloads, Out = Json>(\n  \
           api: ApiClient,\n  \
           kind: K,\n  \
           payload: Payloads[K],\n  \
           more: Omit<SubmitRequest, \"kind\" | \"payload\"> = {},\n\
         ): Promise<Task<Out>> => api.submit<Out>({ ...more, kind, payload: payload as unknown as Json });\n",
    );
    text
}

fn about(text: Option<&str>, kind: &str) -> String {
    match text {
        Some(text) => format!("/** `{kind}`: {} */", comment(text)),
        None => format!("/** `{kind}` */"),
    }
}

fn inner_name(payload: &Payload, name: &str) -> String {
    format!("{}{}", payload.name, type_name(name))
}

fn declare(text: &mut String, payload: &Payload, name: &str, shape: &Shape) {
    let _ = match shape {
        Shape::Record(fields) => {
            writeln!(text, "export interface {name} {}", record(payload, fields, 0))
        }
        shape => writeln!(text, "export type {name} = {};", spelled(payload, shape, 0)),
    };
}

fn record(payload: &Payload, fields: &[Field], depth: usize) -> String {
    if fields.is_empty() {
        return "{}".into();
    }
    let pad = "  ".repeat(depth + 1);
    let mut text = String::from("{\n");
    for field in fields {
        if let Some(about) = &field.about {
            let _ = writeln!(text, "{pad}/** {} */", comment(about));
        }
        let optional = if field.required { "" } else { "?" };
        let shape = spelled(payload, &field.shape, depth + 1);
        let _ = writeln!(text, "{pad}{}{optional}: {shape};", member(&field.name));
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
    text
}

fn spelled(payload: &Payload, shape: &Shape, depth: usize) -> String {
    match shape {
        Shape::Any => "Json".into(),
        Shape::Null => "null".into(),
        Shape::Bool => "boolean".into(),
        Shape::Integer(_) | Shape::Number => "number".into(),
        Shape::Text => "string".into(),
        Shape::OneOf(values) => {
            let one = |value: &serde_json::Value| match value {
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => "Json".to_owned(),
                value => value.to_string(),
            };
            values.iter().map(one).collect::<Vec<_>>().join(" | ")
        }
        Shape::List(of) => format!("Array<{}>", spelled(payload, of, depth)),
        Shape::Map(of) => format!("Record<string, {}>", spelled(payload, of, depth)),
        Shape::Record(fields) => record(payload, fields, depth),
        Shape::Union(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| spelled(payload, part, depth)).collect();
            parts.join(" | ")
        }
        Shape::Named(name) if payload.definitions.contains_key(name) => inner_name(payload, name),
        Shape::Named(_) => "Json".into(),
    }
}

fn member(name: &str) -> String {
    let is_plain = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    if is_plain { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
