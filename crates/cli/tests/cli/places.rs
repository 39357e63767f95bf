//! Kinds whose tasks take several places of a worker: programs of `tasktonic.toml`, and shipped ones of
//! which it says so.

use serde_json::Value;
use tasktonic_testkit::{Process, wait};

use crate::support::{Installation, PATIENCE, refused, said, tasktonic, write};

/// Programs that write down when they start. The large one runs until a file is there.
const CONFIG: &str = r#"
[[exec]]
kind = "render"
places = 3
command = ["sh", "-c", "echo render >> ran.txt; while [ ! -e go ]; do sleep 0.05; done; echo '{\"output\":1}'"]

[[exec]]
kind = "small"
command = ["sh", "-c", "echo small >> ran.txt; sleep 0.2; echo '{\"output\":1}'"]
"#;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn kind<'a>(kinds: &'a Value, name: &str) -> &'a Value {
    let all = kinds.as_array().expect("kinds");
    all.iter().find(|kind| kind["kind"] == name).expect("it is announced")
}

/// A task of three places on a worker of three that is never without small ones: it gets its turn, and
/// nothing runs beside it.
fn takes_its_places(installation: &Installation) {
    let kinds = json(&said(installation.client().args(["kinds", "--json"])));
    assert_eq!(kind(&kinds, "render")["places"], 3, "{kinds}");
    assert_eq!(kind(&kinds, "small").get("places"), None, "{kinds}");
    let words = said(installation.client().args(["kinds"]));
    assert!(words.contains("PLACES"), "{words}");

    let mut small: Vec<String> = (0..12).map(|_| installation.submit("small", "{}", &[])).collect();
    let render = installation.submit("render", "{}", &[]);
    small.extend((0..24).map(|_| installation.submit("small", "{}", &[])));
    let why = json(&said(installation.client().args(["task", "why", &render, "--json"])));
    if why["reason"] == "turn" {
        assert_eq!((&why["places"], &why["places_max"]), (&3.into(), &3.into()), "{why}");
        assert!(why["text"].as_str().is_some_and(|text| text.contains("3 places")), "{why}");
    }
    installation.wait_for(&render, "running", PATIENCE);
    let ran = || {
        let text = std::fs::read_to_string(installation.scratch.join("ran.txt"));
        text.unwrap_or_default().lines().filter(|kind| *kind == "small").count()
    };
    let before = ran();
    assert!(before < 36, "{before} small ones went before it");
    for _ in 0..10 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(ran(), before, "nothing runs beside it");
    }
    std::fs::write(installation.scratch.join("go"), "").expect("written");
    installation.wait_for(&render, "completed", PATIENCE);
    for id in &small {
        installation.wait_for(id, "completed", PATIENCE);
    }
}

const OURS: [&str; 4] = ["--kinds", "render,small", "--concurrency", "3"];

#[test]
fn a_program_that_takes_several_places_gets_its_turn_on_an_embedded_store() {
    let installation = Installation::up(&["--no-workers"]);
    write(&installation.scratch.join("tasktonic.toml"), CONFIG);
    let _worker = Process::start(&mut installation.work_command(&OURS));
    is_there(&installation);
    takes_its_places(&installation);
}

#[test]
fn a_program_that_takes_several_places_gets_its_turn_on_redis() {
    let redis = tasktonic_testkit::Redis::start(tasktonic_testkit::redis::Options::default());
    let mut installation = Installation::new();
    let ours = |verb: &str, data: &std::path::Path| {
        let mut command = tasktonic();
        command.arg(verb).arg("--data").arg(data).env("TASKTONIC_STORE", redis.url());
        command
    };
    let data = installation.data();
    let mut serve = ours("up", &data);
    serve.args(["--json", "--no-ui", "--no-workers", "--port", "0"]);
    installation.start_with(&mut serve);
    // One that reaches the store through the server, whose eight partitions it does not know.
    write(&installation.scratch.join("tasktonic.toml"), CONFIG);
    let _worker = Process::start(&mut installation.work_command(&OURS));
    is_there(&installation);
    takes_its_places(&installation);
}

fn is_there(installation: &Installation) {
    wait::until("the worker to be known", PATIENCE, || {
        let list = json(&said(installation.client().args(["workers", "--json"])));
        list.as_array().is_some_and(|workers| workers.len() == 1)
    });
    let words = said(installation.client().args(["workers"]));
    assert!(words.contains("PLACES") && words.contains("0 of 3"), "{words}");
}

#[test]
fn a_worker_that_is_too_small_for_a_kind_says_so_and_does_not_start() {
    let installation = Installation::up(&["--no-workers"]);
    write(&installation.scratch.join("tasktonic.toml"), CONFIG);
    let (code, told) = refused(&mut installation.work_command(&["--concurrency", "2"]));
    assert!(code != 0 && told.contains("render takes 3 places"), "{code}: {told}");
    let shipped = |toml: &str| {
        write(&installation.scratch.join("tasktonic.toml"), toml);
        refused(&mut installation.work_command(&["--concurrency", "2"]))
    };
    let (_, told) = shipped("[handlers]\nplaces = { \"images.resize\" = 4 }");
    assert!(told.contains("images.resize takes 4 places"), "{told}");
    let (_, told) = shipped("[handlers]\nplaces = { render = 1 }");
    assert!(told.contains("render is none of"), "{told}");
    let (_, told) = shipped("[[exec]]\nkind = \"a\"\ncommand = [\"x\"]\nplaces = 0");
    assert!(told.contains("places is 1 to 1024"), "{told}");
}
