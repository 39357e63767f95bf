//! Accounts, while the server is stopped.

use std::io::Write as _;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::support::{Installation, PATIENCE, refused, said, tasktonic};

#[test]
fn an_account_is_made_and_can_sign_in() {
    let mut installation = Installation::up(&[]);
    let data = installation.data();
    let account = |verb: &[&str]| {
        let mut command = tasktonic();
        command.arg("account").args(verb).arg("--data").arg(&data);
        command.stdin(Stdio::null());
        command
    };
    let (code, words) = refused(&mut account(&["add", "ana"]));
    assert_eq!(code, 1, "the server has the folder: {words}");
    let server = installation.server.as_mut().expect("it runs");
    server.signal(Signal::SIGTERM);
    server.wait(PATIENCE);

    let password = said(&mut account(&["add", "ana"]));
    assert!(password.trim().len() > 20, "one was made: {password}");
    let (code, words) = refused(&mut account(&["add", "ana"]));
    assert_eq!(code, 1);
    assert!(words.contains("already"), "{words}");
    let listed = said(&mut account(&["list"]));
    assert!(listed.contains("ana") && listed.contains("demo"), "{listed}");

    let mut child =
        account(&["password", "ana"]).stdin(Stdio::piped()).spawn().expect("our program starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"correct horse battery\n").expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}
