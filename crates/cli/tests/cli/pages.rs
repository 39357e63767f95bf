//! The pages' server as a child: up again when it dies, gone when we are. Any server will do as
//! pages here; the real ones are tested in a browser.

use std::process::Command;
use std::time::Duration;

use tasktonic_testkit::{Process, Scratch, kill_point, wait};

use crate::support::{Installation, PATIENCE, refused, write};

const SERVER: &str = r#"
const http = require("node:http");
const fs = require("node:fs");
fs.writeFileSync("pid", String(process.pid));
http.createServer((_, answer) => answer.end("a page"))
  .listen(Number(process.env.PORT), process.env.HOSTNAME);
"#;

fn pages() -> Scratch {
    let folder = Scratch::new();
    write(&folder.join("server.js"), SERVER);
    folder
}

fn pid(pages: &Scratch) -> u32 {
    wait::for_some("the pages' server", PATIENCE, || {
        std::fs::read_to_string(pages.join("pid")).ok()?.parse().ok()
    })
}

fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z")
}

/// The status and body of `/login`, which everybody may see.
fn login_page(installation: &Installation) -> String {
    let output = Command::new("curl")
        .args(["-s", "-w", " %{http_code}", &format!("{}/login", installation.url())])
        .output()
        .expect("curl is there");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn up(pages: &Scratch) -> Installation {
    let mut installation = Installation::new();
    let web = pages.path().to_string_lossy().into_owned();
    let mut command = installation.up_command(&["--port", "0", "--no-workers", "--web", &web]);
    installation.start_with(&mut command);
    installation
}

#[test]
fn pages_are_passed_on_and_come_back_after_their_server_was_killed() {
    let pages = pages();
    let installation = up(&pages);
    assert_eq!(login_page(&installation), "a page 200");
    let first = pid(&pages);
    std::fs::remove_file(pages.join("pid")).expect("it was there");
    let killed = Command::new("kill").args(["-9", &first.to_string()]).status();
    assert!(killed.expect("kill is there").success());
    assert_ne!(pid(&pages), first);
    wait::until("the page again", PATIENCE, || login_page(&installation) == "a page 200");
}

#[test]
fn a_killed_product_leaves_no_pages_behind() {
    let pages = pages();
    let mut installation = up(&pages);
    let child = pid(&pages);
    installation.server.as_mut().expect("it runs").crash();
    wait::until("the pages' server to end", Duration::from_secs(20), || is_gone(child));
}

#[test]
fn killed_right_after_its_child_was_started_it_leaves_nothing_behind() {
    let pages = pages();
    let mut installation = Installation::new();
    let web = pages.path().to_string_lossy().into_owned();
    let args = ["--port", "0", "--no-workers", "--web", &web];
    let mut command = installation.up_command(&args);
    let mut killed = Process::start(kill_point::at(&mut command, "up_after_child", 1));
    assert!(kill_point::killed(killed.wait(PATIENCE)));
    wait::until("an empty group", Duration::from_secs(20), || {
        let child = std::fs::read_to_string(pages.join("pid")).unwrap_or_default();
        child.parse().map_or(true, is_gone)
    });
    installation.start_with(&mut installation.up_command(&args));
    assert_eq!(login_page(&installation), "a page 200");
}

#[test]
fn a_folder_without_pages_is_explained() {
    let installation = Installation::new();
    let (code, words) = refused(&mut installation.up_command(&["--web", "/nowhere"]));
    assert_eq!(code, 1);
    assert!(words.contains("--no-ui") && words.contains("/nowhere"), "{words}");
}

#[test]
fn who_stops_it_while_its_pages_start_does_not_wait_for_them() {
    let pages = Scratch::new();
    let silent = "require(\"node:fs\").writeFileSync(\"pid\", String(process.pid));\n\
                  setInterval(() => {}, 1000);";
    write(&pages.join("server.js"), silent);
    let installation = Installation::new();
    let web = pages.path().to_string_lossy().into_owned();
    let mut command = installation.up_command(&["--port", "0", "--no-workers", "--web", &web]);
    let mut server = Process::start(&mut command);
    let child = pid(&pages);
    let since = std::time::Instant::now();
    server.signal(nix::sys::signal::Signal::SIGINT);
    assert!(server.wait(Duration::from_secs(30)).success());
    assert!(since.elapsed() < Duration::from_secs(30));
    wait::until("its child to be gone", PATIENCE, || is_gone(child));
}
