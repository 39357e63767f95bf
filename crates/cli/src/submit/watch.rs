//! A task until it has ended: its progress on one line where there is a terminal, its log above.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Result, bail};
use futures_util::StreamExt as _;
use tasktonic_client::{Client, Update};
use tasktonic_protocol::task::Task;

use crate::screen::{self, harmless};
use crate::task::log_line;

/// Cells of the bar.
const BAR_CELLS: usize = 30;

/// Follows `task` to its end. With `quiet` nothing is shown.
pub(crate) async fn until_ended(client: &Client, task: &Task, quiet: bool) -> Result<Task> {
    let mut line = StatusLine::new(std::io::stderr().is_terminal() && !quiet);
    let mut following = client.follow(&task.id);
    while let Some(update) = following.next().await {
        match update? {
            Update::Ended(task) => {
                line.clear();
                return Ok(*task);
            }
            Update::Now(task) if !quiet => line.show(&status(&task)),
            Update::Log(lines) if !quiet => {
                line.clear();
                lines.iter().for_each(|one| screen::note(&log_line(one)));
                line.again();
            }
            Update::Reconnecting(why) if !quiet => {
                line.show(&format!("reconnecting ({})", harmless(&why)));
            }
            Update::Now(_) | Update::Log(_) | Update::Reconnecting(_) => {}
        }
    }
    bail!("the task was not followed to its end; `tasktonic task get {}` shows it", task.id)
}

/// `running  ██████░░░░  12 of 40 photos  beach.jpg`.
fn status(task: &Task) -> String {
    let mut parts = vec![task.status.name().to_owned()];
    if task.attempt > 1 {
        parts.push(format!("attempt {} of {}", task.attempt, task.attempts_max));
    }
    if let Some(progress) = &task.progress {
        if progress.total > 0 {
            parts.push(bar(progress.done, progress.total));
            parts.push(format!("{} of {}", progress.done, progress.total));
        } else {
            parts.push(progress.done.to_string());
        }
        parts.extend(progress.unit.as_deref().map(harmless));
        parts.extend(progress.note.as_deref().map(harmless));
    }
    parts.join("  ")
}

fn bar(done: u64, total: u64) -> String {
    let share = u128::from(done.min(total)) * BAR_CELLS as u128 / u128::from(total.max(1));
    let full = usize::try_from(share).unwrap_or(BAR_CELLS);
    format!("{}{}", "\u{2588}".repeat(full), "\u{2591}".repeat(BAR_CELLS - full))
}

/// One line of the terminal that is drawn over itself; without a terminal, a line per change of
/// what comes before the first gap.
pub(super) struct StatusLine {
    on: bool,
    last: String,
}

impl StatusLine {
    pub(super) const fn new(on: bool) -> Self {
        Self { on, last: String::new() }
    }

    pub(super) fn show(&mut self, text: &str) {
        if self.on {
            self.clear();
            self.last = text.to_owned();
            self.again();
            return;
        }
        let word = |text: &str| text.split("  ").next().unwrap_or_default().to_owned();
        if word(text) != word(&self.last) {
            screen::note(&word(text));
        }
        self.last = text.to_owned();
    }

    pub(super) fn clear(&self) {
        if self.on && !self.last.is_empty() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
        }
    }

    fn again(&self) {
        if self.on {
            let _ = write!(std::io::stderr(), "{}", self.last);
            let _ = std::io::stderr().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 10).chars().filter(|c| *c == '\u{2588}').count(), 0);
        assert_eq!(bar(9, 10).chars().filter(|c| *c == '\u{2588}').count(), 27);
        assert_eq!(bar(11, 10).chars().filter(|c| *c == '\u{2588}').count(), BAR_CELLS);
    }
}
