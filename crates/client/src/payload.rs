//! Payloads with a type of their own, as `tasktonic kinds --types rust` renders them.

use serde::Serialize;
use tasktonic_protocol::http::SubmitRequest;

use crate::{Client, Error, Result, Submitted, submission};

/// The payload of one kind.
pub trait Payload: Serialize {
    /// The kind.
    const KIND: &'static str;
}

/// A submission of this payload, with nothing else said. What is missing in it, or has another type,
/// does not compile.
///
#[doc = concat!(
    "```\n# #[path = \"", env!("CARGO_MANIFEST_DIR"), "/tests/kinds/generated.rs\"]\n# mod kinds;\n",
    "# fn main() {\n",
    "let photos = kinds::ImagesResize {\n    files: vec![\"AZrS0mXvQ4yKcD1e\".into()],\n",
    "    max_width: 800,\n    format: Some(kinds::ImagesResizeFormat::WebP),\n",
    "    quality: None,\n    crop: None,\n};\n",
    "let mut request = tasktonic_client::submission_of(&photos).unwrap();\n",
    "request.tags.push(\"holiday\".into());\n",
    "assert_eq!(request.kind, \"images.resize\");\n# }\n```\n\n",
    "A number where a list belongs:\n\n",
    "```compile_fail,E0308\n# #[path = \"", env!("CARGO_MANIFEST_DIR"), "/tests/kinds/generated.rs\"]\n# mod kinds;\n",
    "# fn main() {\n",
    "let photos = kinds::ImagesResize {\n    files: 5,\n    max_width: 800,\n    format: None,\n",
    "    quality: None,\n    crop: None,\n};\n# }\n```\n\n",
    "A payload that is of no kind:\n\n",
    "```compile_fail,E0277\n# fn main() {\ntasktonic_client::submission_of(&5).unwrap();\n# }\n```\n"
)]
///
/// # Errors
/// If the payload cannot be written as JSON.
pub fn submission_of<P: Payload>(payload: &P) -> Result<SubmitRequest> {
    let payload = serde_json::value::to_raw_value(payload)
        .map_err(|error| Error::Invalid(format!("the payload is not JSON: {error}")))?;
    Ok(submission(P::KIND, payload))
}

impl Client {
    /// Submits a task with this payload and nothing else said; as [`Client::submit`].
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_payload<P: Payload>(&self, payload: &P) -> Result<Submitted> {
        self.submit(submission_of(payload)?).await
    }
}
