//! An output that is too long for the record of its task becomes a file of the task, and the record
//! names the file. Never knows where files are kept, nor whether the lease still holds: what is
//! reported decides, and a file that no record names is swept.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::value::{RawValue, to_raw_value};
use tasktonic_files::{Content, Error as FileError, FileId, FileMeta};
use tasktonic_protocol::stored::OutputFile;

use crate::limits::{
    OUTPUT_BYTES_MAX, OUTPUT_FILE_BYTES_MAX, OUTPUT_KEPT_TRIES, STORE_WAIT_FIRST, STORE_WAIT_MAX,
};
use crate::shared::Ended;
use crate::{Context, Failure, Outcome};

/// What a handler came to, once an output that is too long for the record is kept.
pub(crate) async fn settle(cx: &Context, outcome: Outcome) -> Ended {
    let output = match outcome {
        Outcome::Completed(output)
            if (OUTPUT_BYTES_MAX + 1..=OUTPUT_FILE_BYTES_MAX).contains(&output.get().len()) =>
        {
            output
        }
        other => return Ended::Returned(other),
    };
    let text: Box<str> = output.into();
    match keep(cx, Bytes::from(text.into_string())).await {
        Ok(FileMeta { id, name, media_type, size, .. }) => {
            let named = OutputFile { file: id.to_string(), name, media_type, size };
            Ended::InFile(to_raw_value(&named).expect("strings and numbers serialise"))
        }
        Err(error) => Ended::Returned(Outcome::Failed(refused(error))),
    }
}

async fn keep(cx: &Context, text: Bytes) -> Result<FileMeta, FileError> {
    let mut wait = STORE_WAIT_FIRST;
    let mut tries = 1;
    loop {
        let again = text.clone();
        let content: Content = stream::once(async move { Ok(again) }).boxed();
        match cx.inner.files.keep_output(&cx.inner.lease, content).await {
            // The work is done: it is not thrown away for files that are away for a moment.
            Err(FileError::Unavailable(_)) if tries < OUTPUT_KEPT_TRIES => {}
            other => return other,
        }
        tries += 1;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(STORE_WAIT_MAX);
    }
}

/// What no other attempt can mend is final.
fn refused(error: FileError) -> Failure {
    let message = format!(
        "The output is kept as a file, being longer than {OUTPUT_BYTES_MAX} bytes, and could not be: {error}"
    );
    match error {
        FileError::TooLarge { .. } => Failure::fatal("output_too_large", message),
        FileError::Quota { .. } | FileError::TooMany { .. } => {
            Failure::fatal("files_quota", message)
        }
        // Nobody listens any more; the worker drops whatever is said.
        FileError::LostLease => Failure::Cancelled,
        _ => Failure::attempt("files_unavailable", message),
    }
}

/// The output that is the content of this file, byte for byte.
pub(crate) async fn read(cx: &Context, named: &RawValue) -> Result<Box<RawValue>, FileError> {
    let unreadable = |what: &str| FileError::Unavailable(format!("the output {what}"));
    let named: OutputFile =
        serde_json::from_str(named.get()).map_err(|_| unreadable("names no file"))?;
    let file: FileId = named.file.parse().map_err(|_| unreadable("names no file"))?;
    let (_, mut content) = cx.read_file(&file).await?;
    let mut text = Vec::new();
    while let Some(part) = content.next().await {
        let part = part.map_err(FileError::Content)?;
        if text.len() + part.len() > OUTPUT_FILE_BYTES_MAX {
            return Err(unreadable("is longer than one may be"));
        }
        text.extend_from_slice(&part);
    }
    let text = String::from_utf8(text).map_err(|_| unreadable("is no text"))?;
    RawValue::from_string(text).map_err(|_| unreadable("is no JSON"))
}
