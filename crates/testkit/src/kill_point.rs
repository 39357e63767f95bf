//! Named places at which a process of the product kills itself when it is asked to.
//!
//! A build with the feature `test-hooks` reads `TASKTONIC_KILL_AT=<point>:<n>` and sends itself
//! SIGKILL when it passes that point for the n-th time, so that no destructor runs.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The environment variable that the product reads.
pub const VARIABLE: &str = "TASKTONIC_KILL_AT";

/// Asks the program to die when it passes `point` for the `nth` time, counted from 1.
pub fn at<'c>(command: &'c mut Command, point: &str, nth: u32) -> &'c mut Command {
    command.env(VARIABLE, format!("{point}:{nth}"))
}

/// All points that the binary at `program` has, from its own `kill-points`.
///
/// # Panics
/// When it has none: it was built without `test-hooks`, and a test that asks proves nothing.
#[must_use]
pub fn names(program: &Path) -> Vec<String> {
    let answer = Command::new(program).arg("kill-points").output().expect("the program starts");
    let names: Vec<String> = String::from_utf8_lossy(&answer.stdout)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    assert!(
        answer.status.success() && !names.is_empty(),
        "{} has no kill points: build it with the feature test-hooks",
        program.display()
    );
    names
}

/// Whether a process ended by SIGKILL, as one does at a kill point.
#[must_use]
pub fn killed(status: ExitStatus) -> bool {
    status.signal() == Some(nix::sys::signal::Signal::SIGKILL as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_and_its_count_reach_the_program() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $TASKTONIC_KILL_AT; kill -KILL $$"]);
        let output = at(&mut command, "store:before_commit", 3).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "store:before_commit:3");
        assert!(killed(output.status));
    }

    #[test]
    #[should_panic(expected = "test-hooks")]
    fn a_binary_without_points_is_refused() {
        let _ = names(Path::new("/bin/true"));
    }
}
