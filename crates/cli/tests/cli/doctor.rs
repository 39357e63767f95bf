//! `tasktonic doctor --gateway`: all is well with the gateway as it is shipped, and each hole of one
//! that lets everything through is found.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;
use tasktonic_testkit::nginx::{self, Guard, Nginx};
use tasktonic_testkit::{Process, Scratch, ports, wait};

use crate::support::{PATIENCE, refused, run, said, tasktonic};

/// Somebody who answers everything with 200.
fn yes_sayer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = [0; 16 * 1024];
                let _ = stream.read(&mut head);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}

fn doctor(nginx: &Nginx, args: &[&str]) -> (Option<i32>, Value) {
    let url = format!("http://{}", nginx.address());
    let mut command = tasktonic();
    command.args(["doctor", "--gateway", &url, "--json"]).args(args);
    let output = run(&mut command);
    let text = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("JSON: {text}")))
}

fn failed(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().expect("checks");
    let bad = checks.iter().filter(|check| check["ok"] == false);
    bad.map(|check| format!("{}: {}", check["check"], check["saw"])).collect()
}

#[test]
fn the_gateway_as_it_is_shipped_passes_every_check() {
    let scratch = Scratch::new();
    let (port, door) = (ports::free(), scratch.join("door.sock"));
    let mut gateway = nginx::gateway();
    gateway.servers = vec![format!("127.0.0.1:{port}")];
    gateway.pages = vec![yes_sayer()];
    gateway.door = vec![format!("unix:{}", door.display())];
    let nginx = Nginx::start(gateway);

    let url = format!("http://{}", nginx.address());
    let (code, report) = doctor(&nginx, &[]);
    assert_eq!((code, failed(&report).len()), (Some(1), 1), "no server yet: {report}");
    let advice = report["checks"][0]["advice"].as_str().expect("advice");
    assert!(advice.contains("error log"), "{advice}");

    let data = scratch.join("data");
    let mut serve = tasktonic();
    serve.args(["serve", "--port", &port.to_string(), "--origin", &url]);
    serve.arg("--data").arg(&data).arg("--gateway-listen").arg(format!("unix:{}", door.display()));
    serve.current_dir(scratch.path());
    let _server = Process::start(&mut serve);
    wait::until("a gateway that passes", PATIENCE, || doctor(&nginx, &[]).0 == Some(0));

    let token = scratch.join("token");
    let mut mint = tasktonic();
    mint.args(["token", "mint", "--user", "ada"]).arg("--data").arg(&data);
    std::fs::write(&token, said(&mut mint)).expect("a scratch folder can be written");
    let (code, report) = doctor(&nginx, &["--token-file", token.to_str().expect("text")]);
    assert_eq!((code, failed(&report)), (Some(0), Vec::new()), "{report}");
    assert_eq!(report["ok"], true);
    assert!(report["checks"].as_array().expect("checks").len() >= 25, "{report}");

    let mut lines = tasktonic();
    let text = said(lines.args(["doctor", "--gateway", &url]));
    assert!(text.contains("ok      a forged token is refused"), "{text}");
    assert!(text.contains("checks passed") && text.contains("--token-file"), "{text}");
    let (log, token) = (nginx.access_log(), std::fs::read_to_string(token).expect("a token"));
    assert!(!log.contains(token.trim()) && !text.contains(token.trim()));
}

#[test]
fn a_gateway_that_lets_everything_through_is_found_out() {
    let all = yes_sayer();
    let mut gateway = nginx::gateway();
    (gateway.servers, gateway.pages) = (vec![all.clone()], vec![all]);
    gateway.door = vec!["unix:/nowhere".to_owned()];
    gateway.guard = Guard::Off;
    let nginx = Nginx::start(gateway);
    let (code, report) = doctor(&nginx, &[]);
    assert_eq!(code, Some(1));
    let failed = failed(&report);
    for check in [
        "the API asks for a token",
        "pages lead to the sign-in",
        "a forged token is refused",
        "a token without a signature is refused",
        "identity headers of a client mean nothing",
        "a foreign host is refused",
        "the absolute form of a request is refused",
        "encoded dots are refused",
        "too many headers are refused",
        "a socket asks for a token",
        "refusals are problem documents",
    ] {
        assert!(failed.iter().any(|line| line.contains(check)), "{check} is not in {failed:#?}");
    }
    let url = format!("http://{}", nginx.address());
    let output = run(tasktonic().args(["doctor", "--gateway", &url]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("FAILED  a forged token is refused") && text.contains("saw: 200"),
        "{text}"
    );
    assert!(text.contains("Stop this installation"), "{text}");
}

#[test]
fn an_address_that_is_none_is_bad_use_and_a_silent_one_is_a_finding() {
    let (code, words) = refused(tasktonic().args(["doctor", "--gateway", "tasks.example.com"]));
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("https://HOST"), "{words}");
    let url = format!("http://127.0.0.1:{}", ports::free());
    let output = run(tasktonic().args(["doctor", "--gateway", &url]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("FAILED  the gateway answers") && text.contains("Is nginx running"),
        "{text}"
    );
    assert!(text.contains("1 of 1 checks failed"), "{text}");
}
