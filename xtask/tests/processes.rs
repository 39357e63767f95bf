//! What `cargo xtask` does with the processes it starts, seen from outside. Cargo is played by a
//! script, so that nothing has to be built.

#![expect(clippy::unwrap_used, reason = "in a test it is a failure with a place")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tasktonic_testkit::{Process, Scratch, process, wait};

const SOON: Duration = Duration::from_secs(20);

fn script(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// `cargo xtask …` with `cargo` in place of the real one.
fn xtask(scratch: &Scratch, cargo: &PathBuf, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).env("CARGO", cargo).env("CARGO_TARGET_DIR", scratch.path());
    Process::start(&mut command)
}

#[test]
fn stopped_while_it_builds_it_leaves_nothing_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = Scratch::new();
        let started = scratch.join("started");
        let text = format!("sleep 1000 & echo $$ > {}; wait", started.display());
        let cargo = script(&scratch, "cargo", &text);
        let mut building = xtask(&scratch, &cargo, &["gen"]);
        let group = wait::for_some("the build to start", SOON, || {
            std::fs::read_to_string(&started).ok()?.trim().parse::<u32>().ok()
        });
        assert_eq!(process::members(group).len(), 2, "the build and its child");
        building.signal(signal);
        assert_eq!(building.wait(SOON).code(), Some(128 + signal as i32));
        process::wait_for_empty_group(group, SOON);
    }
}

#[test]
fn up_becomes_the_product_and_hands_its_arguments_over() {
    let scratch = Scratch::new();
    let built = scratch.join("product");
    let cargo = script(
        &scratch,
        "cargo",
        &format!(
            "mkdir -p {0} && printf '#!/bin/sh\\necho \"$$ got $*\"\\nsleep 1000\\n' > {0}/tasktonic \
             && chmod +x {0}/tasktonic",
            built.display()
        ),
    );
    let mut up = xtask(&scratch, &cargo, &["up", "--", "--no-ui", "--port", "0"]);
    let line = up.line_with("got", SOON);
    assert_eq!(line, format!("{} got up --no-ui --port 0", up.id()), "the same process id");
    up.signal(Signal::SIGTERM);
    let status = up.wait(SOON);
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(Signal::SIGTERM as i32)
    );
}

#[test]
fn a_build_that_fails_shows_its_last_words_and_starts_nothing() {
    let scratch = Scratch::new();
    let cargo = script(&scratch, "cargo", "echo 'error: no such thing as a free lunch'; exit 101");
    let mut up = xtask(&scratch, &cargo, &["up", "--", "--no-ui"]);
    assert_eq!(up.wait(SOON).code(), Some(1));
    assert!(up.output().contains("free lunch"), "{}", up.output());
}
