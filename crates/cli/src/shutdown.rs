//! Being asked to stop, and by whom.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::screen;

/// What the first signal is answered with by who gives running attempts `seconds`.
pub(crate) fn attempts_have(seconds: u64) -> String {
    format!("running attempts have up to {seconds} s to finish")
}

/// A token that is cancelled on SIGINT, SIGTERM or SIGHUP, which is answered with `words`. A second
/// signal ends the process where it stands: everything acknowledged is on disk anyway.
pub(crate) fn on_signal(words: String) -> std::io::Result<CancellationToken> {
    on_signal_then(words, || {})
}

/// As [`on_signal`]; `at_once` is done by the second signal before the process ends.
pub(crate) fn on_signal_then(
    words: String,
    at_once: impl Fn() + Send + 'static,
) -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut kinds = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        kinds.push(signal(kind)?);
    }
    let asked = stop.clone();
    tokio::spawn(async move {
        let [mut interrupt, mut terminate, mut hangup] =
            <[_; 3]>::try_from(kinds).unwrap_or_else(|_| unreachable!("three signals"));
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hangup.recv() => 1,
            };
            if asked.is_cancelled() {
                // Nothing is dropped from here on, and what attempts have started must not go on.
                tasktonic_handlers::exec::kill_all_programs();
                at_once();
                std::process::exit(128 + signal);
            }
            screen::note(&format!("stopping: {words}; again to stop at once"));
            asked.cancel();
        }
    });
    Ok(stop)
}
