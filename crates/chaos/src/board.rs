//! What people see while a run goes on: how long, how many tasks, what is broken just now. On a
//! terminal one line that is drawn over; elsewhere a line per fault and one now and then.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a terminal's line is drawn again.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// How often a log hears that the run goes on.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The figures of a run under way.
#[derive(Debug)]
pub(crate) struct Board {
    since: Instant,
    /// Tasks that were accepted.
    pub(crate) accepted: AtomicU64,
    /// Ends that were heard of.
    pub(crate) ended: AtomicU64,
    faults: AtomicU64,
    phase: Mutex<String>,
    last: Mutex<String>,
    quiet: AtomicBool,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            accepted: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            phase: Mutex::default(),
            last: Mutex::default(),
            quiet: AtomicBool::new(false),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

impl Board {
    /// Another phase has begun.
    pub(crate) fn phase(&self, name: &str) {
        name.clone_into(&mut lock(&self.phase));
        lock(&self.last).clear();
        self.tell(name);
    }

    /// Something is broken now.
    pub(crate) fn fault(&self, name: &str, target: &str) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        let text = format!("{name} ({target})");
        self.tell(&text);
        *lock(&self.last) = text;
    }

    fn tell(&self, text: &str) {
        if !is_terminal() && !self.quiet.load(Ordering::Relaxed) {
            eprintln!("  {} {text}", self.clock());
        }
    }

    fn clock(&self) -> String {
        let seconds = self.since.elapsed().as_secs();
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }

    fn line(&self) -> String {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        format!(
            "{} {} · {} accepted · {} ended · {} faults · {}",
            self.clock(),
            lock(&self.phase),
            count(&self.accepted),
            count(&self.ended),
            count(&self.faults),
            lock(&self.last)
        )
    }

    /// Draws until [`Board::end`].
    pub(crate) fn draw(&self) {
        let mut told = Instant::now();
        while !self.quiet.load(Ordering::Relaxed) {
            std::thread::sleep(DRAW_EVERY);
            if is_terminal() {
                let line: String = self.line().chars().take(columns()).collect();
                eprint!("\r\x1b[2K{line}");
                let _ = std::io::stderr().flush();
            } else if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                eprintln!("  {}", self.line());
            }
        }
        if is_terminal() {
            eprint!("\r\x1b[2K");
        }
    }

    /// Nothing more is drawn.
    pub(crate) fn end(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }
}

/// The width of the terminal, less one so that nothing wraps.
fn columns() -> usize {
    let named = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    named.unwrap_or(100).max(20) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_and_what_is_broken() {
        let board = Board::default();
        board.end();
        board.phase("breaking things");
        board.fault("kill -9 of a worker", "worker-2");
        board.accepted.fetch_add(3, Ordering::Relaxed);
        assert_eq!(
            board.line(),
            "0:00 breaking things · 3 accepted · 0 ended · 1 faults · kill -9 of a worker (worker-2)"
        );
    }
}
