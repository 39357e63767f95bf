//! Runs the programs of a step: output into a log file, progress on the screen, and no process
//! left behind when somebody stops us.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::places;

/// How often a terminal's status line is drawn again.
const STATUS_EVERY: Duration = Duration::from_millis(200);
/// How often a log without a terminal is told that we are still at it.
const STILL_EVERY: Duration = Duration::from_secs(20);
/// Cells of a bar, and what a full one is drawn with.
const BAR_CELLS: usize = 20;
const FULL: char = '█';
/// How long a stopped child may take before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Lines of a failed program that are shown; the log file has all.
const TAIL_LINES: usize = 120;
/// How long output may still arrive after a program has ended.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// What is running now, for the status line and for those who stop us.
struct Running {
    title: String,
    since: Instant,
    group: Pid,
    line: String,
    told: Instant,
}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());
static STOPPING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn running() -> std::sync::MutexGuard<'static, Vec<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a finished program said and how long it took.
pub(crate) struct Finished {
    /// Everything it wrote, both streams in the order they came.
    pub(crate) output: String,
    pub(crate) took: Duration,
}

/// Call once: from here on SIGINT, SIGTERM and SIGHUP stop every process that [`run`] started,
/// then us. (Handlers, not a blocked mask: programs we start would inherit the mask.)
pub(crate) fn guard() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for signals")?;
    std::thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        STOPPING.store(true, std::sync::atomic::Ordering::SeqCst);
        stop_all();
        clear_status();
        eprintln!("stopped");
        std::process::exit(128 + signal);
    });
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(STATUS_EVERY);
            tell();
        }
    });
    Ok(())
}

/// Tidies the screen before this process becomes another by exec, which also gives the signals
/// back.
pub(crate) fn unguard() {
    clear_status();
}

/// Stops every program that is running: asks, waits, then insists.
pub(crate) fn stop_all() {
    let groups: Vec<Pid> = running().iter().map(|one| one.group).collect();
    for group in &groups {
        // A group that is already gone is what we want.
        let _ = killpg(*group, Signal::SIGTERM);
    }
    let patience = Instant::now() + STOP_GRACE;
    while Instant::now() < patience && groups.iter().any(|group| lives(*group)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    for group in &groups {
        let _ = killpg(*group, Signal::SIGKILL);
    }
}

/// Whether a process of `group` still runs. Those that only wait to be collected do not, where
/// the system says so in /proc: not every machine has somebody who collects orphans at once.
fn lives(group: Pid) -> bool {
    if killpg(group, None).is_err() {
        return false;
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    let mut stats = entries
        .flatten()
        .filter(|entry| {
            entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit())
        })
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.any(|stat| {
        // After the name in brackets: state, parent, group.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next() != Some("Z")
            && fields.nth(1).and_then(|found| found.parse().ok()) == Some(group.as_raw())
    })
}

/// Where the output of what runs under the name `title` goes.
pub(crate) fn log_of(title: &str) -> PathBuf {
    places::scratch().join("log").join(format!("{}.log", title.replace([' ', '/'], "-")))
}

/// Runs `command` to its end under the name `title`.
///
/// # Errors
/// When it cannot be started, or ends with anything but success; the error holds the end of what
/// it wrote and names the log file with the whole.
pub(crate) fn run(title: &str, command: &mut Command) -> Result<Finished> {
    let shown = spell(command);
    let log = log_of(title);
    let (mut child, output) = spawn(title, command)?;
    let since = Instant::now();
    let (tx, rx) = std::sync::mpsc::channel();
    let (log_path, owner) = (log.clone(), title.to_owned());
    std::thread::spawn(move || {
        let _ = tx.send(collect(output, &log_path, &owner));
    });
    let status = child.wait().with_context(|| format!("waiting for {shown}"))?;
    running().retain(|one| one.title != title);
    // What it started and left behind ends with it.
    let _ = killpg(pid_of(&child)?, Signal::SIGKILL);
    // A grandchild may hold the pipe open; what it says after its parent's end is not waited for.
    let collected = rx
        .recv_timeout(OUTPUT_GRACE)
        .unwrap_or_else(|_| std::fs::read_to_string(&log).map_err(Into::into))?;
    let took = since.elapsed();
    if status.success() {
        return Ok(Finished { output: collected, took });
    }
    if STOPPING.load(std::sync::atomic::Ordering::SeqCst) {
        // The thread that took the signal ends the process.
        std::thread::sleep(STOP_GRACE * 2);
    }
    bail!(
        "{title} failed ({status}): {shown}\n\n{}\n\nAll of it: {}",
        tail(&collected),
        log.display()
    )
}

fn spawn(title: &str, command: &mut Command) -> Result<(Child, std::io::PipeReader)> {
    let (reader, writer) = std::io::pipe().context("opening a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("sharing a pipe")?)
        .stderr(writer)
        // A group of its own, so that the end of a step is the end of all it started.
        .process_group(0);
    // Held over the start, so that a signal cannot fall between it and the entry.
    let mut list = running();
    let spelled = spell(command);
    let child =
        command.spawn().with_context(|| format!("starting {spelled} (is it installed?)"))?;
    // The command keeps its copies of the pipe; without this the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let now = Instant::now();
    list.push(Running {
        title: title.to_owned(),
        since: now,
        group: pid_of(&child)?,
        line: String::new(),
        told: now,
    });
    drop(list);
    Ok((child, reader))
}

fn pid_of(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id()).context("a process id")?))
}

fn collect(output: std::io::PipeReader, log: &Path, title: &str) -> Result<String> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(log).with_context(|| format!("writing {}", log.display()))?;
    let mut all = String::new();
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    while let Some(whole) = read_line(&mut reader, &mut bytes)? {
        let line = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(one) = running().iter_mut().find(|one| one.title == title) {
            let short = short(&line);
            if !short.is_empty() {
                one.line = short;
            }
        }
        // What a program draws over is for the eye alone.
        if whole {
            file.write_all(&bytes)?;
            all.push_str(&line);
        }
        bytes.clear();
    }
    Ok(all)
}

/// Reads up to the next end of line, or to where a program starts to draw over its line. Says
/// which: true for a line that stays; nothing at the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    loop {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            return Ok((!line.is_empty()).then_some(true));
        }
        let end = part.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let taken = end.map_or(part.len(), |at| at + 1);
        line.extend_from_slice(&part[..taken]);
        reader.consume(taken);
        match line.last() {
            Some(b'\n') => return Ok(Some(true)),
            Some(b'\r') => return Ok(Some(false)),
            _ => {}
        }
    }
}

/// A line as the status shows it: cargo's bar is cut to its count.
fn short(line: &str) -> String {
    let line = plain(line.trim());
    match line.strip_prefix("Building [").and_then(|rest| rest.split_once("] ")) {
        Some((_, count)) => count.to_owned(),
        None => line,
    }
}

/// Says one line for the reader's scroll-back.
pub(crate) fn say(line: &str) {
    clear_status();
    eprintln!("{line}");
}

/// Hours never matter here: minutes and seconds.
pub(crate) fn clock(took: Duration) -> String {
    let seconds = took.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn tell() {
    let terminal = std::io::stderr().is_terminal();
    let mut list = running();
    if terminal {
        if list.is_empty() {
            return;
        }
        let parts: Vec<String> = list
            .iter()
            .map(|one| shown(&one.title, one.since.elapsed(), &one.line, BAR_CELLS))
            .collect();
        let line: String = parts.join("  |  ").chars().take(columns()).collect();
        eprint!("\r\x1b[2K{}", painted(&line, wants_colours()));
        let _ = std::io::stderr().flush();
        return;
    }
    for one in list.iter_mut().filter(|one| one.told.elapsed() >= STILL_EVERY) {
        one.told = Instant::now();
        eprintln!("   … {}", shown(&one.title, one.since.elapsed(), &one.line, 0));
    }
}

/// What runs, how far it is as far as it counts, for how long, and what it is at:
/// `tasktonic ████░░░░░░  42 %  2:12  157 of 375: nix`.
fn shown(title: &str, took: Duration, line: &str, cells: usize) -> String {
    let took = clock(took);
    let Some((done, total, at)) = counted(line) else { return format!("{title} {took}  {line}") };
    let full = cells * done / total;
    let bar = match cells {
        0 => String::new(),
        cells => format!(" {}{}", FULL.to_string().repeat(full), "░".repeat(cells - full)),
    };
    format!("{title}{bar} {:>3} %  {took}  {done} of {total}{at}", 100 * done / total)
}

/// Cargo's `157/375: nix` as numbers and the rest.
fn counted(line: &str) -> Option<(usize, usize, &str)> {
    let end = line.find(|c: char| c != '/' && !c.is_ascii_digit()).unwrap_or(line.len());
    let (count, at) = line.split_at(end);
    let (done, total) = count.split_once('/')?;
    let (done, total): (usize, usize) = (done.parse().ok()?, total.parse().ok()?);
    (total > 0 && done <= total).then_some((done, total, at))
}

/// The full cells of bars in colour.
fn painted(line: &str, colours: bool) -> String {
    if !colours {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len() + 32);
    let mut inside = false;
    for c in line.chars() {
        if (c == FULL) != inside {
            inside = c == FULL;
            out.push_str(if inside { "\x1b[32m" } else { "\x1b[0m" });
        }
        out.push(c);
    }
    if inside {
        out.push_str("\x1b[0m");
    }
    out
}

/// Whether the terminal is one that shows colours and its user wants them.
fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn columns() -> usize {
    static COLUMNS: OnceLock<usize> = OnceLock::new();
    *COLUMNS.get_or_init(|| {
        let size = Command::new("stty").arg("size").stdin(Stdio::inherit()).output();
        let size = size.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let columns = size.ok().and_then(|s| s.split_whitespace().nth(1)?.parse::<usize>().ok());
        columns.unwrap_or(80).max(20) - 1
    })
}

fn clear_status() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

/// The last lines, without the colours.
fn tail(output: &str) -> String {
    let mut lines = VecDeque::new();
    for line in output.lines() {
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(plain(line));
    }
    Vec::from(lines).join("\n")
}

/// Without terminal escapes.
pub(crate) fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        for c in chars.by_ref() {
            if c.is_ascii_alphabetic() {
                break;
            }
        }
    }
    out
}

fn spell(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A program to be run in the root of the workspace, without what `cargo run` left in the
/// environment for us: it would make build scripts run again.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(places::root());
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy().into_owned();
        if key.starts_with("CARGO_PKG_") || key.starts_with("CARGO_MANIFEST_") {
            command.env_remove(key);
        }
    }
    command
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = program(&cargo.to_string_lossy());
    // Its count of crates goes into our status line.
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100");
    command
}

/// What a program prints, for questions that take no time.
pub(crate) fn ask(command: &mut Command) -> Result<String> {
    let shown = spell(command);
    let answer = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("starting {shown}"))?;
    if !answer.status.success() {
        bail!("{shown}: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_are_taken_out() {
        assert_eq!(plain("\u{1b}[32mgreen\u{1b}[0m grass"), "green grass");
    }

    #[test]
    fn a_line_that_is_drawn_over_is_status_and_not_output() {
        let mut reader = BufReader::with_capacity(4, "one\n 1/2\r 2/2\rtwo\nend".as_bytes());
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while let Some(whole) = read_line(&mut reader, &mut line).unwrap() {
            lines.push((String::from_utf8_lossy(&line).trim().to_owned(), whole));
            line.clear();
        }
        let expected =
            [("one", true), ("1/2", false), ("2/2", false), ("two", true), ("end", true)];
        assert_eq!(lines, expected.map(|(line, whole)| (line.to_owned(), whole)));
        assert_eq!(short("  Building [==>   ] 3/40: nix"), "3/40: nix");
    }

    #[test]
    fn what_counts_has_a_bar_and_what_does_not_its_last_line() {
        let took = Duration::from_secs(132);
        let line = shown("tasktonic", took, "150/300: nix, jiff", 4);
        assert_eq!(line, "tasktonic ██░░  50 %  2:12  150 of 300: nix, jiff");
        assert_eq!(shown("t", took, "150/300", 0), "t  50 %  2:12  150 of 300");
        assert_eq!(shown("t", took, "0/0: x", 4), "t 2:12  0/0: x");
        assert_eq!(shown("pages", took, "Linting …", 4), "pages 2:12  Linting …");
        assert_eq!(shown("t", took, "7/7", 2), "t ██ 100 %  2:12  7 of 7");
    }

    #[test]
    fn colours_are_where_they_are_wanted_and_end_with_the_bar() {
        assert_eq!(painted("a ██░ b", false), "a ██░ b");
        assert_eq!(painted("a ██░ b", true), "a \u{1b}[32m██\u{1b}[0m░ b");
        assert_eq!(painted("█", true), "\u{1b}[32m█\u{1b}[0m");
        assert_eq!(plain(&painted("a ██░ b", true)), "a ██░ b");
    }

    #[test]
    fn a_clock_shows_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_secs(67)), "1:07");
    }

    #[test]
    fn a_failing_program_tells_its_last_words_and_its_log() {
        let error =
            run("failing on purpose", program("sh").args(["-c", "echo last words; exit 3"]))
                .err()
                .unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("last words"), "{text}");
        assert!(text.contains("failing-on-purpose.log"), "{text}");
    }

    #[test]
    fn a_grandchild_left_behind_ends_with_its_step() {
        let since = Instant::now();
        let done = run("lingering", program("sh").args(["-c", "sleep 30 & echo $!"])).unwrap();
        assert!(since.elapsed() < Duration::from_secs(20));
        let pid = done.output.trim().parse::<i32>().unwrap();
        let gone = || {
            // A killed orphan may be a zombie until somebody collects it.
            std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |s| s.contains(") Z"))
        };
        while !gone() {
            assert!(since.elapsed() < Duration::from_secs(20), "{pid} still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
