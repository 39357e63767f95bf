//! What became of the tasks that a program's task waited for, as a file for the program: a line of
//! JSON for each. It is there as long as the attempt.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;
use tasktonic_protocol::http::OnFailure;
use tasktonic_protocol::status::TaskStatus;
use tasktonic_protocol::stored::TaskError;
use tasktonic_worker::{Context, Failure, Input};

use super::INPUTS_BYTES_MAX;

/// The file; dropping it removes it.
pub(super) struct InputsFile(PathBuf);

/// One line of it.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    name: Option<&'a str>,
    kind: Option<&'a str>,
    status: Option<TaskStatus>,
    output: Option<&'a RawValue>,
    error: Option<&'a TaskError>,
    reason: Option<&'a str>,
    on_failure: Option<OnFailure>,
}

impl<'a> Line<'a> {
    fn of(input: &'a Input) -> Self {
        Self {
            id: input.id.to_string(),
            name: input.name.as_deref(),
            kind: input.kind.as_deref(),
            status: input.status,
            output: input.output.as_deref(),
            error: input.error.as_ref(),
            reason: input.reason.as_deref(),
            on_failure: input.on_failure,
        }
    }
}

impl InputsFile {
    /// Writes them one after the other, into a file that only this user of the machine may read.
    pub(super) async fn write(cx: &Context) -> Result<Self, Failure> {
        // The fence is another one for every attempt, and no file is opened that is there already.
        let name = format!("tasktonic-inputs-{}-{}.jsonl", cx.task(), cx.fence());
        let path = std::env::temp_dir().join(name);
        let failed = |error: std::io::Error| {
            Failure::attempt(
                "inputs_unavailable",
                format!(
                    "The file for the outputs of the tasks before could not be written: {error}"
                ),
            )
        };
        // What an attempt of a worker that was killed has left.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let this = Self(path);
        let mut file = BufWriter::new(file.map_err(failed)?);
        let (mut inputs, mut bytes) = (cx.inputs(), 0_u64);
        while let Some(input) = inputs.next().await? {
            let mut line = serde_json::to_vec(&Line::of(&input)).map_err(|e| failed(e.into()))?;
            line.push(b'\n');
            bytes += line.len() as u64;
            if bytes > INPUTS_BYTES_MAX {
                return Err(Failure::fatal(
                    "inputs_too_large",
                    format!(
                        "The outputs of the tasks before have more than {INPUTS_BYTES_MAX} bytes together. Let them keep what is large as files."
                    ),
                ));
            }
            file.write_all(&line).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        Ok(this)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for InputsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
