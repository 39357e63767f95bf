//! `tasktonic submit --batch`: many tasks, a line each, handed over in parts. Knows nothing of how a
//! part is repeated when its answer is lost.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tasktonic_client::{Client, Error};
use tasktonic_protocol::http::{BATCH_TASKS_MAX, SubmitRequest};
use tasktonic_protocol::problem::{Code, Problem};
use tasktonic_protocol::task::Task;

use super::watch::StatusLine;
use crate::screen::{self, harmless, many};
use crate::task::print_json;

/// Bytes of lines in one part: half of what a server takes in one call.
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one line; a payload is far smaller.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// How often it is told how far it is where nobody watches a terminal.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// One line that says something.
struct Line {
    number: u64,
    read: std::result::Result<SubmitRequest, Box<Problem>>,
}

/// What became of a line, as `--json` prints it.
#[derive(Serialize)]
struct Outcome {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// Hands over what a file, or standard input for `-`, holds. Lines that are refused do not keep the
/// others; a part that is not taken at all ends it, because those after it would come out of turn.
pub(super) async fn submit(client: &Client, path: &Path, json: bool) -> Result<u8> {
    let mut lines = Lines::open(path)?;
    let mut teller = Teller::new();
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    loop {
        // Reading may take as long as whoever writes there.
        let (back, part) = tokio::task::spawn_blocking(move || {
            let part = lines.part();
            (lines, part)
        })
        .await
        .context("reading was broken off")?;
        lines = back;
        let part = part.with_context(|| format!("reading {}", path.display()));
        let part = part.inspect_err(|_| teller.end(accepted, refused))?;
        let (Some(first), Some(last)) = (part.first(), part.last()) else { break };
        let (first, last) = (first.number, last.number);
        let outcomes = match hand_over(client, part).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                teller.end(accepted, refused);
                let what = if error.is_outcome_unknown() {
                    "may have been taken or not"
                } else {
                    "were not taken"
                };
                return Err(anyhow::Error::new(error).context(format!(
                    "lines {first} to {last} {what}, and nothing was sent after them; go on from line \
                     {first}, or send all again if each line has an idempotency_key of its own"
                )));
            }
        };
        teller.pause();
        for outcome in outcomes {
            match &outcome.error {
                Some(_) => refused += 1,
                None => accepted += 1,
            }
            show(&outcome, json)?;
        }
        teller.tell(last, accepted, refused);
    }
    teller.end(accepted, refused);
    Ok(if refused == 0 { crate::DONE } else { crate::FAILED })
}

/// Sends the good ones of a part; answers for all, in order.
async fn hand_over(client: &Client, part: Vec<Line>) -> std::result::Result<Vec<Outcome>, Error> {
    let (mut outcomes, mut tasks, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for Line { number, read } in part {
        let error = match read {
            Ok(task) => {
                places.push(outcomes.len());
                tasks.push(task);
                None
            }
            Err(problem) => Some(*problem),
        };
        outcomes.push(Outcome { line: number, task: None, error });
    }
    if tasks.is_empty() {
        return Ok(outcomes);
    }
    let answers = match client.submit_batch(tasks).await {
        Ok(answers) => answers,
        // One line, and larger than the server takes: it is that line's own fault.
        Err(Error::Problem { problem, .. })
            if places.len() == 1 && problem.code == Code::PayloadTooLarge.name() =>
        {
            outcomes[places[0]].error = Some(*problem);
            return Ok(outcomes);
        }
        Err(error) => return Err(error),
    };
    let unanswered = || Problem::new(Code::Internal, "The server did not answer for this line.");
    let mut answers = answers.into_iter();
    for place in places {
        let outcome = &mut outcomes[place];
        match answers.next() {
            Some(answer) if answer.task.is_some() => outcome.task = answer.task,
            answer => {
                let error = answer.and_then(|answer| answer.error);
                outcome.error = Some(error.unwrap_or_else(unanswered));
            }
        }
    }
    Ok(outcomes)
}

/// On standard output the id, on standard error what is wrong with a line; as JSON all of it on
/// standard output.
fn show(outcome: &Outcome, json: bool) -> Result<()> {
    if json {
        return print_json(outcome);
    }
    if let Some(problem) = &outcome.error {
        let words = screen::problem(problem).join("\n    ");
        screen::note(&format!("line {}: {words}", outcome.line));
    } else if let Some(task) = &outcome.task {
        screen::say(&harmless(&task.id));
    }
    Ok(())
}

/// Lines of a source, read in parts.
struct Lines {
    source: Box<dyn BufRead + Send>,
    number: u64,
    /// Read, and too much for the part before.
    next: Option<(Line, usize)>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let source: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            Box::new(BufReader::new(file))
        };
        Ok(Self { source, number: 0, next: None })
    }

    /// As many lines as one part takes; none at the end.
    fn part(&mut self) -> std::io::Result<Vec<Line>> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while part.len() < BATCH_TASKS_MAX {
            let next = match self.next.take() {
                Some(next) => Some(next),
                None => self.line()?,
            };
            let Some((line, length)) = next else { break };
            if bytes + length > PART_BYTES_MAX && !part.is_empty() {
                self.next = Some((line, length));
                break;
            }
            bytes += length;
            part.push(line);
        }
        Ok(part)
    }

    /// The next line that is not empty, and its bytes.
    fn line(&mut self) -> std::io::Result<Option<(Line, usize)>> {
        loop {
            let mut bytes = Vec::new();
            let most = LINE_BYTES_MAX as u64 + 1;
            (&mut self.source).take(most).read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if bytes.len() > LINE_BYTES_MAX {
                self.skip()?;
                let detail = format!("A line has at most {LINE_BYTES_MAX} bytes.");
                let read = Err(Box::new(Problem::new(Code::PayloadTooLarge, detail)));
                return Ok(Some((Line { number, read }, 0)));
            }
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                let read = parsed(&bytes);
                return Ok(Some((Line { number, read }, bytes.len())));
            }
        }
    }

    /// Leaves out the rest of a line.
    fn skip(&mut self) -> std::io::Result<()> {
        loop {
            let ahead = self.source.fill_buf()?;
            if ahead.is_empty() {
                return Ok(());
            }
            let end = ahead.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(ahead.len(), |end| end + 1);
            self.source.consume(taken);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

fn parsed(line: &[u8]) -> std::result::Result<SubmitRequest, Box<Problem>> {
    serde_json::from_slice(line).map_err(|error| {
        let detail = format!("It is no submission, at column {}: {error}.", error.column());
        Box::new(Problem::new(Code::BadRequest, detail))
    })
}

/// How far it is, on standard error: on one line of a terminal, else now and then.
struct Teller {
    line: StatusLine,
    terminal: bool,
    told: Instant,
}

impl Teller {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { line: StatusLine::new(terminal), terminal, told: Instant::now() }
    }

    fn tell(&mut self, lines: u64, accepted: u64, refused: u64) {
        let text = format!("{}: {accepted} accepted, {refused} refused", many(lines, "line"));
        if self.terminal {
            self.line.show(&text);
        } else if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            screen::note(&text);
        }
    }

    /// Makes room for other lines.
    fn pause(&self) {
        self.line.clear();
    }

    fn end(&self, accepted: u64, refused: u64) {
        self.line.clear();
        screen::note(&format!("{} accepted, {refused} refused", many(accepted, "task")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: String) -> Lines {
        Lines { source: Box::new(std::io::Cursor::new(text)), number: 0, next: None }
    }

    #[test]
    fn parts_are_as_large_as_one_call_takes_and_lose_no_line() {
        let large = |bytes: usize| {
            format!("{{\"kind\":\"noop\",\"payload\":{{\"t\":\"{}\"}}}}\n", "x".repeat(bytes))
        };
        let mut small = lines(large(1).repeat(2_500));
        let counts: Vec<_> = (0..4).map(|_| small.part().unwrap().len()).collect();
        assert_eq!(counts, [1_000, 1_000, 500, 0]);
        let mut wide = lines(large(900_000).repeat(9));
        let parts: Vec<Vec<u64>> =
            (0..4).map(|_| wide.part().unwrap().iter().map(|line| line.number).collect()).collect();
        assert_eq!(parts, [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9], vec![]]);
    }

    #[test]
    fn a_line_that_is_no_submission_says_where_and_the_next_one_is_read() {
        let good = r#"{"kind":"noop","payload":{}}"#;
        let long = "x".repeat(3 * LINE_BYTES_MAX);
        let text =
            format!("{good}\n\n{{\"kind\":1}}\n{long}\n  {good}  \r\n{{\"knd\":\"a\"}}\n{good}");
        let part = lines(text).part().unwrap();
        let said: Vec<_> = part
            .iter()
            .map(|line| (line.number, line.read.as_ref().err().map(|fault| fault.detail.clone())))
            .collect();
        let numbers: Vec<_> = said.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 3, 4, 5, 6, 7]);
        assert!([0, 3, 5].iter().all(|good| said[*good].1.is_none()), "{said:?}");
        for (at, word) in [(1, "column 9"), (2, "1048576 bytes"), (4, "`knd`")] {
            let detail = said[at].1.as_deref().unwrap();
            assert!(detail.contains(word), "{detail}");
        }
    }
}
