//! One attempt of a program.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;
use tasktonic_protocol::stored::{LOG_LINE_BYTES_MAX, LogLevel, OUTPUT_FILE_BYTES_MAX, Progress};
use tasktonic_protocol::worker::KindRecord;
use tasktonic_worker::{AnyHandler, Context, Failure, Outcome, Stop};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};

use super::group::Group;
use super::inputs::InputsFile;
use super::lines::{Line, Lines};
use super::speech::{self, Said};
use super::{ExecKind, LINE_BYTES_MAX, OUTPUT_LINE_BYTES_MAX};
use crate::file::fitting;

/// What is passed on without being asked for.
const PASSED_ALWAYS: [&str; 3] = ["PATH", "HOME", "LANG"];
/// How long what was printed is still read after the program has ended: something it left behind
/// may keep its output open.
const READ_AFTER_END: Duration = Duration::from_secs(2);
/// The same after it was cancelled: together with its grace less than a worker waits.
const READ_AFTER_CANCEL: Duration = Duration::from_millis(500);
/// How often a program that was told by the soft limit is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much of the last line of standard error an error quotes, in bytes.
const QUOTED_BYTES_MAX: usize = 500;
/// How a line with an output begins.
const OUTPUT_BEGINS: &str = "{\"output\"";
/// Longest code and message of an error, in bytes.
const CODE_BYTES_MAX: usize = 64;
const MESSAGE_BYTES_MAX: usize = 4_096;

#[async_trait]
impl AnyHandler for ExecKind {
    fn record(&self) -> KindRecord {
        self.record.clone()
    }

    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome {
        match self.attempt(payload.get(), cx).await {
            Ok(output) => Outcome::Completed(output),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

impl ExecKind {
    async fn attempt(&self, payload: &str, cx: &Context) -> Result<Box<RawValue>, Failure> {
        if cx.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let name = self.name();
        // It goes when the attempt has ended, whatever way.
        let inputs = if self.wants_inputs { Some(InputsFile::write(cx).await?) } else { None };
        let mut group = Group::start(self.command(cx, inputs.as_ref())).map_err(|error| {
            Failure::attempt("exec_not_started", format!("{name} could not be started: {error}"))
        })?;
        let (stdin, stdout, stderr) = group.streams().expect("the command pipes all three");
        let mut heard = Heard::new(self, cx);
        let mut streams = Streams {
            stdin: Some((stdin, format!("{payload}\n").into())),
            bytes: 0,
            stdout: Some(
                Lines::new(stdout, LINE_BYTES_MAX).longer(OUTPUT_BEGINS, OUTPUT_LINE_BYTES_MAX),
            ),
            stderr: Some(Lines::new(stderr, LINE_BYTES_MAX)),
        };

        let status = tokio::select! {
            status = group.ended() => Some(status),
            said = streams.listen(&mut heard) => match said {
                // Nothing more can come; it may still be working.
                Ok(()) => tokio::select! {
                    status = group.ended() => Some(status),
                    () = cx.cancelled() => None,
                },
                Err(failure) => return Err(failure),
            },
            () = cx.cancelled() => None,
        };
        let told = status.is_none() && cx.why_stop() == Some(Stop::SoftLimit);
        let status =
            if told { winds_down(&mut group, &mut streams, &mut heard).await? } else { status };
        let Some(status) = status else {
            // What it says while it cleans up still goes into the log.
            tokio::select! {
                () = group.end() => {}
                _ = async { let _ = streams.listen(&mut heard).await; std::future::pending::<()>().await } => {}
            }
            let _ = tokio::time::timeout(READ_AFTER_CANCEL, streams.listen(&mut heard)).await;
            return Err(Failure::Cancelled);
        };
        // What it left behind ends with it.
        group.kill_rest();
        if let Ok(Err(failure)) =
            tokio::time::timeout(READ_AFTER_END, streams.listen(&mut heard)).await
        {
            return Err(failure);
        }
        let status = status?;
        if told && !status.success() && heard.error.is_none() {
            // It ended because it was told to.
            return Err(Failure::Cancelled);
        }
        heard.outcome(status, &name)
    }

    fn command(&self, cx: &Context, inputs: Option<&InputsFile>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        let passed =
            PASSED_ALWAYS.iter().copied().chain(self.environment.passed.iter().map(String::as_str));
        for name in passed {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(&self.environment.set);
        command.env("TASKTONIC_TASK", cx.task().to_string());
        command.env("TASKTONIC_ATTEMPT", cx.attempt().to_string());
        command.env("TASKTONIC_FENCE", cx.fence().to_string());
        if let Some(inputs) = inputs {
            command.env("TASKTONIC_INPUTS", inputs.path());
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// Asks a program to end and lets it: told by the soft limit it may save what it has, or finish. At
/// the limit itself this is dropped, and the group is killed with it. Nothing if there is a weightier
/// reason to stop by now.
async fn winds_down<O: AsyncRead + Unpin, E: AsyncRead + Unpin>(
    group: &mut Group,
    streams: &mut Streams<O, E>,
    heard: &mut Heard<'_>,
) -> Result<Option<std::io::Result<ExitStatus>>, Failure> {
    group.ask_to_end();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut silent = false;
    let cx = heard.cx;
    loop {
        tokio::select! {
            status = group.ended() => return Ok(Some(status)),
            said = streams.listen(heard), if !silent => {
                said?;
                silent = true;
            }
            _ = looks.tick() => {
                if cx.why_stop() != Some(Stop::SoftLimit) {
                    return Ok(None);
                }
            }
        }
    }
}

struct Streams<O, E> {
    /// What is still to be written.
    stdin: Option<(ChildStdin, Bytes)>,
    stdout: Option<Lines<O>>,
    stderr: Option<Lines<E>>,
    /// What came from streams that have ended.
    bytes: u64,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> Streams<O, E> {
    /// Writes the payload and hears every line until both outputs have ended. May be dropped and
    /// called again: a line is heard once.
    async fn listen(&mut self, heard: &mut Heard<'_>) -> Result<(), Failure> {
        while self.stdout.is_some() || self.stderr.is_some() {
            tokio::select! {
                () = write(&mut self.stdin) => self.stdin = None,
                line = next(&mut self.stdout) => match line {
                    Some(line) => heard.printed(line),
                    None => self.bytes += self.stdout.take().map_or(0, |lines| lines.bytes),
                },
                line = next(&mut self.stderr) => match line {
                    Some(line) => heard.complained(line),
                    None => self.bytes += self.stderr.take().map_or(0, |lines| lines.bytes),
                },
            }
            if self.printed() > heard.kind.printed_bytes_max {
                return Err(Failure::fatal(
                    "exec_printed_too_much",
                    format!(
                        "The program printed more than {} bytes and was ended. Let it print less, or set output_bytes.",
                        heard.kind.printed_bytes_max
                    ),
                ));
            }
        }
        Ok(())
    }

    fn printed(&self) -> u64 {
        let open = self.stdout.as_ref().map_or(0, |lines| lines.bytes)
            + self.stderr.as_ref().map_or(0, |lines| lines.bytes);
        self.bytes + open
    }
}

/// Writes what is left and returns; waits for ever if there is nothing to write to.
async fn write(stdin: &mut Option<(ChildStdin, Bytes)>) {
    let Some((pipe, rest)) = stdin else { return std::future::pending().await };
    while !rest.is_empty() {
        // A program that does not read its payload need not.
        if pipe.write_buf(rest).await.is_err() {
            return;
        }
    }
}

async fn next<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<Line> {
    match lines {
        // A pipe that cannot be read has ended.
        Some(lines) => lines.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// What a program has said in an attempt.
struct Heard<'a> {
    kind: &'a ExecKind,
    cx: &'a Context,
    /// The phase it was last in.
    phase: Option<String>,
    logged: u64,
    output: Option<Box<RawValue>>,
    error: Option<speech::Error>,
    /// Why an output could not be taken.
    refused: Option<String>,
    last_complaint: String,
}

impl<'a> Heard<'a> {
    fn new(kind: &'a ExecKind, cx: &'a Context) -> Self {
        let last_complaint = String::new();
        Self {
            kind,
            cx,
            phase: None,
            logged: 0,
            output: None,
            error: None,
            refused: None,
            last_complaint,
        }
    }

    fn printed(&mut self, line: Line) {
        match speech::read(&line.text) {
            Ok(Some(Said::Progress(said))) => self.moved_on(said),
            Ok(Some(Said::Log(log))) => self.log(log.level, log.text),
            Ok(Some(Said::Output(output))) if output.get().len() > OUTPUT_FILE_BYTES_MAX => {
                self.refused = Some(too_long_output());
            }
            Ok(Some(Said::Output(output))) => self.output = Some(output),
            Ok(Some(Said::Error(error))) => self.error = Some(error),
            Err(_) if line.cut && line.text.len() >= OUTPUT_FILE_BYTES_MAX => {
                self.refused = Some(too_long_output());
            }
            Err(_) if line.cut => {
                self.refused = Some(format!("A line has more than {LINE_BYTES_MAX} bytes."));
            }
            Err(why) => self.log(LogLevel::Warn, format!("A line was not understood: {why}")),
            Ok(None) => self.log(LogLevel::Info, shown(line)),
        }
    }

    /// Progress; a phase that is named and was not before begins.
    fn moved_on(&mut self, said: Progress) {
        let Progress { done, total, note, unit, phase, weight, before: _ } = said;
        if let Some(phase) = phase
            && self.phase.as_ref() != Some(&phase)
        {
            self.cx.phase(phase.clone(), weight);
            self.phase = Some(phase);
        }
        self.cx.progress(done, total, &unit.unwrap_or_default(), note);
    }

    fn complained(&mut self, line: Line) {
        let text = shown(line);
        if !text.trim().is_empty() {
            self.last_complaint = fitting(text.trim(), QUOTED_BYTES_MAX).to_owned();
        }
        self.log(LogLevel::Warn, text);
    }

    fn log(&mut self, level: LogLevel, text: String) {
        self.logged += 1;
        let max = self.kind.log_lines_max;
        if self.logged <= max {
            self.cx.log(level, text);
        } else if self.logged == max + 1 {
            self.cx.log(
                LogLevel::Warn,
                format!("The program printed more than {max} lines; the rest is left out. Set output_lines to keep more."),
            );
        }
    }

    fn outcome(self, status: ExitStatus, name: &str) -> Result<Box<RawValue>, Failure> {
        if let Some(speech::Error { code, message, is_final }) = self.error {
            let (code, message) =
                (fitting(&code, CODE_BYTES_MAX), fitting(&message, MESSAGE_BYTES_MAX));
            return Err(if is_final {
                Failure::fatal(code, message)
            } else {
                Failure::attempt(code, message)
            });
        }
        if !status.success() {
            let colon = if self.last_complaint.is_empty() { "" } else { ": " };
            let message = format!("{name} ended with {status}{colon}{}", self.last_complaint);
            return Err(Failure::attempt("exec_failed", message));
        }
        if let Some(why) = self.refused {
            return Err(Failure::fatal(
                "output_too_large",
                format!("{why} Put what is large into a place of its own and name it."),
            ));
        }
        Ok(self.output.unwrap_or_else(|| RawValue::NULL.to_owned()))
    }
}

fn too_long_output() -> String {
    format!("The output has more than {OUTPUT_FILE_BYTES_MAX} bytes.")
}

fn shown(line: Line) -> String {
    if line.cut {
        format!("{} … (cut)", fitting(&line.text, LOG_LINE_BYTES_MAX - 16))
    } else {
        line.text
    }
}
