//! What people and scripts see of the fleet: a line for each change of each process.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::screen::{self, Style, styled};

/// A process of the fleet, as the ready line and the lines after it name it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// `server-1`.
    pub(crate) name: String,
    /// Its process id; 0 before it was ready for the first time.
    pub(crate) pid: u32,
    /// Where it listens on this machine, if it does.
    pub(crate) port: Option<u16>,
}

/// What `--json` prints when something changes after the ready line.
#[derive(Serialize)]
struct Change<'a> {
    process: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// The state of every process, shown as it changes.
pub(crate) struct Board {
    json: bool,
    /// Whether the ready line was printed.
    open: AtomicBool,
    rows: Mutex<Vec<Row>>,
}

impl Board {
    /// With `json`, changes after the ready line are JSON too.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, open: AtomicBool::new(false), rows: Mutex::default() }
    }

    /// Changes are told to scripts from here on.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Nothing is told any more: all are to end.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    /// The processes that are ready or were, in the order in which they were announced.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().filter(|row| row.pid != 0).cloned().collect()
    }

    /// A process is about to be started.
    pub(crate) fn announce(&self, name: &str, port: Option<u16>) {
        let row = Row { name: name.to_owned(), pid: 0, port };
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    /// A process does its work now.
    pub(crate) fn ready(&self, row: Row) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter_mut()
            .filter(|known| known.name == row.name)
            .for_each(|known| *known = row.clone());
        drop(rows);
        tracing::info!(process = row.name, pid = row.pid, "ready");
        if self.json {
            self.tell(&Change {
                process: &row.name,
                state: "ready",
                pid: Some(row.pid),
                why: None,
            });
        } else {
            screen::say(&line(&row.name, "ready", Style::Green, &rest(&row)));
        }
    }

    /// A process has ended or is of no use; it is started again after `pause`.
    pub(crate) fn restarting(&self, name: &str, why: &str, pause: Duration) {
        tracing::warn!(process = name, why, "starting it again");
        if self.json {
            self.tell(&Change { process: name, state: "restarting", pid: None, why: Some(why) });
        } else {
            let pause = pause.as_secs_f64();
            let rest = format!("{why}; again in {pause:.2} s");
            screen::say(&line(name, "restarting", Style::Yellow, &rest));
        }
    }

    /// A process has ended because it was asked to.
    pub(crate) fn ended(&self, name: &str) {
        tracing::info!(process = name, "ended");
        if !self.json {
            screen::say(&line(name, "ended", Style::Dim, ""));
        }
    }

    fn tell(&self, change: &Change<'_>) {
        if self.open.load(Ordering::SeqCst) {
            // It serialises, and a reader that has gone away ends nothing.
            let _ = crate::task::print_json(change);
        }
    }
}

fn line(name: &str, state: &str, style: Style, rest: &str) -> String {
    let state = format!("{state:<10}");
    format!("  {name:<10} {} {rest}", styled(&state, style)).trim_end().to_owned()
}

fn rest(row: &Row) -> String {
    match row.port {
        Some(port) => format!("pid {:<7} port {port}", row.pid),
        None => format!("pid {}", row.pid),
    }
}
