//! Local files into a payload: uploaded, and put where the kind's schema has room for files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;
use tasktonic_client::Client;
use tasktonic_files::Content;
use tokio::io::AsyncReadExt as _;

use crate::{bad_use, screen};

/// Bytes read from a file at once.
const PART_BYTES: usize = 64 * 1024;

/// A field of a payload that holds files.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: String,
    many: bool,
}

/// Uploads `files` (`[FIELD=]PATH`) and puts their ids into `payload`.
pub(super) async fn files(
    client: &Client,
    kind: &str,
    files: &[String],
    payload: &mut Value,
) -> Result<()> {
    let kinds = client.kinds().await?;
    let Some(known) = kinds.iter().find(|known| known.kind == kind) else {
        bail!(
            "no worker has announced the kind {kind}; `tasktonic kinds` lists those there are, and \
             `tasktonic work` starts a worker"
        );
    };
    let fields = fields(&known.schema);
    for file in files {
        let (field, path) = place(&fields, file, kind)?;
        let id = upload(client, Path::new(path)).await?;
        put(payload, field, id)?;
    }
    Ok(())
}

/// The fields of a schema that hold a file or a list of files.
fn fields(schema: &Value) -> Vec<Field> {
    let is_file = |schema: &Value| schema["format"] == "file";
    let resolve = |part: &Value| -> Value {
        let name = part["$ref"].as_str().and_then(|at| at.strip_prefix("#/$defs/"));
        name.map_or_else(|| part.clone(), |name| schema["$defs"][name].clone())
    };
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .filter_map(|(name, part)| {
            let part = resolve(part);
            let many = is_file(&resolve(&part["items"]));
            (many || is_file(&part)).then(|| Field { name: name.clone(), many })
        })
        .collect()
}

fn place<'f>(fields: &'f [Field], file: &'f str, kind: &str) -> Result<(&'f Field, &'f str)> {
    if let Some((name, path)) = file.split_once('=')
        && let Some(field) = fields.iter().find(|field| field.name == name)
    {
        return Ok((field, path));
    }
    match fields {
        [] => Err(bad_use(format!("the payload of {kind} has no field for files"))),
        [field] => Ok((field, file)),
        _ => {
            let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
            let names = names.join(", ");
            Err(bad_use(format!("{kind} has several fields for files: write FIELD=PATH ({names})")))
        }
    }
}

fn put(payload: &mut Value, field: &Field, id: String) -> Result<()> {
    let slot = &mut payload[&field.name];
    if !field.many {
        if !slot.is_null() {
            return Err(bad_use(format!("{} holds one file", field.name)));
        }
        *slot = Value::String(id);
        return Ok(());
    }
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    match slot.as_array_mut() {
        Some(list) => list.push(Value::String(id)),
        None => return Err(bad_use(format!("{} in the payload is not a list", field.name))),
    }
    Ok(())
}

async fn upload(client: &Client, path: &Path) -> Result<String> {
    let file =
        tokio::fs::File::open(path).await.with_context(|| format!("reading {}", path.display()))?;
    let name = path.file_name().map_or("file".into(), |name| name.to_string_lossy());
    let content: Content = Box::pin(
        stream::try_unfold(file, |mut file| async move {
            let mut part = Vec::with_capacity(PART_BYTES);
            let read = (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await?;
            Ok((read > 0).then(|| (part.into(), file)))
        })
        .fuse(),
    );
    let stored = client
        .upload(&name, None, content)
        .await
        .with_context(|| format!("uploading {}", path.display()))?;
    screen::note(&format!("uploaded {name}, {} bytes", stored.size));
    Ok(stored.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_goes_where_the_schema_has_room_for_it() {
        let schema = json!({
            "properties": {
                "photos": { "type": "array", "items": { "$ref": "#/$defs/Photo" } },
                "cover": { "type": "string", "format": "file" },
                "title": { "type": "string" }
            },
            "$defs": { "Photo": { "type": "string", "format": "file" } }
        });
        let mut found = fields(&schema);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.many)).collect();
        assert_eq!(names, [("cover", false), ("photos", true)]);
        assert!(place(&found, "a.jpg", "k").is_err(), "two fields, none named");
        let mut payload = json!({});
        for file in ["photos=a=b.jpg", "photos=c.jpg", "cover=d.jpg"] {
            let (field, path) = place(&found, file, "k").unwrap();
            put(&mut payload, field, path.to_owned()).unwrap();
        }
        assert_eq!(payload, json!({ "photos": ["a=b.jpg", "c.jpg"], "cover": "d.jpg" }));
        let (field, _) = place(&found, "cover=e.jpg", "k").unwrap();
        assert!(put(&mut payload, field, "e".into()).is_err(), "one file only");
    }
}
