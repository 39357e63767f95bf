//! `tasktonic verify`: exit codes and what goes where.

use std::io::Write as _;
use std::process::{Output, Stdio};

use crate::support::{Installation, tasktonic, write};

/// RFC 8037, appendix A: an Ed25519 key and a JWS signed with it.
const KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const JWS: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn verify(args: &[&str], input: &str) -> Output {
    let mut child = tasktonic()
        .arg("verify")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("our program starts");
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_good_signature_gives_the_payload_byte_for_byte() {
    let installation = Installation::new();
    let key = installation.scratch.join("key.json");
    write(&key, KEY);
    let key = key.to_string_lossy();
    let output = verify(&["jws", "--jwk", &key], &format!("{JWS}\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"Example of Ed25519 signing");

    let exact = verify(&["jws", "--jwk", &key, "--exact"], &format!("{JWS}\n"));
    assert_eq!(exact.status.code(), Some(1), "a newline is no part of a token");
    let changed = verify(&["jws", "--jwk", &key], &JWS.replace("hgyY", "hgyZ"));
    assert_eq!(changed.status.code(), Some(1));
    assert!(changed.stdout.is_empty() && !changed.stderr.is_empty());
    assert!(!String::from_utf8_lossy(&changed.stderr).contains("eyJ"), "the token is not shown");
}

#[test]
fn bad_use_is_told_from_a_bad_token() {
    assert_eq!(verify(&["jws"], JWS).status.code(), Some(2));
    assert_eq!(verify(&["jws", "--jwk", "/nowhere"], JWS).status.code(), Some(2));
    let installation = Installation::new();
    let key = installation.scratch.join("key.json");
    write(&key, r#"{"kty":"oct","k":"c2hvcnQ","alg":"HS256"}"#);
    let weak = verify(&["jws", "--jwk", &key.to_string_lossy()], JWS);
    assert_eq!(weak.status.code(), Some(1), "{weak:?}");
}

#[test]
fn a_minted_token_verifies_with_the_published_keys_and_not_after_its_time() {
    let installation = Installation::up(&["--no-workers"]);
    let token = installation.mint("ana", "user");
    let keys = std::process::Command::new("curl")
        .args(["-sf", &format!("{}/.well-known/jwks.json", installation.url())])
        .output()
        .expect("curl is there");
    let path = installation.scratch.join("keys.json");
    write(&path, &String::from_utf8_lossy(&keys.stdout));
    let path = path.to_string_lossy();
    let args = ["jwt", "--jwks", &path, "--iss", "tasktonic", "--aud", "tasktonic"];
    let good = verify(&args, &token);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let claims: serde_json::Value = serde_json::from_slice(&good.stdout).expect("claims");
    assert_eq!(claims["sub"], "ana");
    let late = verify(&[&args[..], &["--now", "4000000000"]].concat(), &token);
    assert_eq!(late.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&late.stderr).contains("token_expired"), "{late:?}");
}
