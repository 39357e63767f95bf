//! What is in `deploy/`: read, checked, and run where it can be run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tasktonic_gateway_conf::{Gateway, Parts, Tls};
use tasktonic_testkit::{Process, Scratch, ports, wait};
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::{Installation, PATIENCE, refused, run, said, tasktonic, write};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// A Redis with our configuration and our users.
struct Redis {
    port: u16,
    _process: Process,
    _home: Scratch,
}

impl Redis {
    fn start() -> Self {
        let (home, port) = (Scratch::new(), ports::free());
        let folder = home.path().to_string_lossy().into_owned();
        let users = text("redis/users.acl").replace("PASSWORD-OF-TASKTONIC", "hush");
        let operator = "user operator on >all ~* &* +@all\n";
        write(&home.join("users.acl"), &format!("{users}{operator}"));
        let config = text("redis/redis.conf")
            .replace("/etc/redis/users.acl", &format!("{folder}/users.acl"))
            .replace("dir /var/lib/redis", &format!("dir {folder}"))
            .replace("port 6379", &format!("port {port}"));
        write(&home.join("redis.conf"), &config);
        let mut command = Command::new("redis-server");
        let mut process = Process::start(command.arg(home.join("redis.conf")));
        process.line_with("Ready to accept connections", PATIENCE);
        Self { port, _process: process, _home: home }
    }

    fn cli(&self, user: &str, password: &str, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string(), "--user", user]).env("REDISCLI_AUTH", password);
        let output = run(command.arg("--no-auth-warning").args(words));
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }

    fn url(&self) -> String {
        format!("redis://tasktonic:hush@127.0.0.1:{}", self.port)
    }
}

#[test]
fn a_task_runs_through_the_redis_of_deploy_as_its_user_who_lacks_no_right() {
    let redis = Redis::start();
    let mut installation = Installation::new();
    let ours = |words: &[&str]| {
        let mut command = tasktonic();
        command.args(words).arg("--data").arg(installation.data());
        command.env("TASKTONIC_STORE", redis.url());
        command
    };
    let mut serve = ours(&["serve", "--port", "0"]);
    let mut server = Process::start(&mut serve);
    let line = server.line_with("listening", PATIENCE);
    let address = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let url = format!("http://{}", address.expect("it says where"));
    let _worker = Process::start(&mut ours(&["work", "--kinds", "noop"]));
    said(&mut ours(&["account", "list"]));
    let token = installation.mint("ana", "user");
    installation.ready = serde_json::json!({ "url": url, "token": token });
    wait::until("a task to complete", PATIENCE, || {
        let data = r#"{"sleep_ms":50,"progress_steps":5}"#;
        let mut command = installation.client();
        run(command.args(["submit", "noop", "--follow", "--data", data])).status.success()
    });
    let later = installation.submit("noop", "{}", &["--delay-ms", "3600000"]);
    said(installation.client().args(["task", "cancel", &later]));
    said(installation.client().args(["task", "retry", &later]));
    said(installation.client().args(["task", "list"]));
    let refused = redis.cli("operator", "all", &["ACL", "LOG"]);
    assert_eq!(refused.trim(), "", "what the user lacked");
    server.signal(Signal::SIGTERM);
    assert!(server.wait(PATIENCE).success());
}

#[test]
fn the_user_of_deploy_may_do_nothing_else() {
    let redis = Redis::start();
    for words in [
        &["FLUSHALL"][..],
        &["CONFIG", "SET", "appendonly", "no"],
        &["ACL", "SETUSER", "x"],
        &["SHUTDOWN"],
        &["KEYS", "*"],
        &["GET", "other:key"],
        &["SPUBLISH", "other", "x"],
        &["EVAL", "return redis.call('SET', 'other', '1')", "0"],
    ] {
        let said = redis.cli("tasktonic", "hush", words);
        // In a script Redis 7.0 says it in other words.
        let refused = ["NOPERM", "permission", "can't access"].iter().any(|w| said.contains(w));
        assert!(refused, "{words:?}: {said}");
    }
    assert!(redis.cli("default", "", &["PING"]).contains("WRONGPASS"));
    assert!(redis.cli("tasktonic", "hush", &["PING"]).contains("PONG"));
}

fn compose() -> Yaml {
    let mut documents = YamlLoader::load_from_str(&text("compose.yaml")).expect("it is YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// A mapping with what `<<` merges into it.
fn merged(map: &Yaml) -> Vec<(String, Yaml)> {
    let mut all: Vec<(String, Yaml)> = Vec::new();
    for (key, value) in map.as_hash().expect("a mapping") {
        let key = key.as_str().expect("a name").to_owned();
        if key == "<<" {
            all.extend(merged(value));
        } else {
            all.retain(|(other, _)| *other != key);
            all.push((key, value.clone()));
        }
    }
    all
}

fn names(map: &Yaml) -> BTreeSet<String> {
    merged(map).into_iter().map(|(name, _)| name).collect()
}

/// A list of words, or the names of a mapping.
fn words(value: &Yaml) -> Vec<String> {
    match value {
        Yaml::Array(items) => items
            .iter()
            .map(|item| item.as_str().or(item["source"].as_str()).expect("a word").to_owned())
            .collect(),
        Yaml::Hash(_) => names(value).into_iter().collect(),
        _ => panic!("a list: {value:?}"),
    }
}

#[test]
fn the_compose_file_names_nothing_that_it_does_not_declare() {
    let file = compose();
    let services = names(&file["services"]);
    let dockerfile = text("Dockerfile");
    let known = [
        "image",
        "build",
        "restart",
        "init",
        "read_only",
        "tmpfs",
        "cap_drop",
        "security_opt",
        "secrets",
        "depends_on",
        "stop_grace_period",
        "networks",
        "volumes",
        "environment",
        "entrypoint",
        "command",
        "user",
        "healthcheck",
        "deploy",
        "ports",
    ];
    for (service, parts) in merged(&file["services"]) {
        let parts = merged(&parts);
        let part = |name: &str| parts.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let list = |name: &str| part(name).map(words).unwrap_or_default();
        let declared = |what: &str, name: &str| {
            assert!(names(&file[what]).contains(name), "{service} uses {what} {name}");
        };
        for (key, _) in &parts {
            assert!(known.contains(&key.as_str()), "{service}: {key}");
        }
        list("secrets").iter().for_each(|name| declared("secrets", name));
        list("networks").iter().for_each(|name| declared("networks", name));
        for volume in list("volumes") {
            let source = volume.split(':').next().unwrap_or_default();
            if let Some(file) = source.strip_prefix("./") {
                assert!(deploy(file).is_file(), "{service}: {source}");
            } else {
                declared("volumes", source);
            }
        }
        list("depends_on").iter().for_each(|name| assert!(services.contains(name), "{name}"));
        if let Some(build) = part("build") {
            let target = build["target"].as_str().expect("a target");
            assert!(dockerfile.contains(&format!(" AS {target}\n")), "{service}: {target}");
            let of_build =
                if build["secrets"].is_badvalue() { vec![] } else { words(&build["secrets"]) };
            of_build.iter().for_each(|name| declared("secrets", name));
        }
        assert_eq!(list("ports").is_empty(), service != "gateway", "{service}: one door");
        assert_eq!(part("read_only").and_then(Yaml::as_bool), Some(true), "{service}");
    }
    let replicas = &file["services"]["worker"]["deploy"]["replicas"];
    assert_eq!(replicas.as_i64(), Some(3));
}

#[test]
fn the_addresses_of_the_compose_file_agree_with_each_other() {
    let file = compose();
    let inside = &file["networks"]["inside"]["ipam"]["config"][0];
    let part = |name: &str| inside[name].as_str().expect("a network").to_owned();
    assert_eq!(part("subnet"), "172.30.84.0/24");
    // Below are those that are chosen here, above those that Docker chooses.
    assert_eq!(part("ip_range"), "172.30.84.128/25");
    let mut chosen = BTreeSet::from([part("gateway")]);
    let mut address = |service: &str| {
        let networks = &file["services"][service]["networks"];
        let address = networks["inside"]["ipv4_address"].as_str();
        let address = address.unwrap_or_else(|| panic!("{service} keeps its address")).to_owned();
        let last = address.strip_prefix("172.30.84.").and_then(|last| last.parse::<u8>().ok());
        assert!(last.is_some_and(|last| last > 0 && last < 128), "{service}: {address}");
        assert!(chosen.insert(address.clone()), "{service}: {address} is taken");
        address
    };
    let arguments = words(&file["services"]["gateway"]["command"]);
    let all = |flag: &str| -> Vec<String> {
        let values = arguments.iter().filter_map(|word| word.strip_prefix(flag));
        values.map(|value| value.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    for server in all("--server=") {
        address(&server);
        let parts = merged(&file["services"][server.as_str()]);
        let volumes = parts.iter().find(|(name, _)| name == "volumes").map(|(_, list)| words(list));
        let mounted = "./tasktonic.toml:/etc/tasktonic/tasktonic.toml:ro".to_owned();
        assert!(volumes.is_some_and(|volumes| volumes.contains(&mounted)), "{server}");
    }
    let pages: Vec<String> = all("--page=").iter().map(|pages| address(pages)).collect();
    assert_eq!(all("--trust="), pages, "the gateway believes the servers of the pages");
    let gateway = address("gateway");
    let trusted = format!("trusted_proxies = [\"{gateway}\"]");
    let config = text("tasktonic.toml");
    assert!(config.lines().any(|line| line == trusted), "the servers believe it: {config}");
}

#[test]
fn the_gateway_is_stopped_in_order() {
    let unit = text("systemd/tasktonic-gateway.service");
    for needed in ["KillSignal=SIGQUIT", "KillMode=mixed", "TimeoutStopSec=30"] {
        assert!(unit.lines().any(|line| line == needed), "{needed}");
    }
    let dockerfile = text("Dockerfile");
    let (_, stage) = dockerfile.split_once(" AS gateway\n").expect("a stage");
    assert!(stage.lines().any(|line| line == "STOPSIGNAL SIGQUIT"), "{stage}");
    let grace = &compose()["services"]["gateway"]["stop_grace_period"];
    assert_eq!(grace.as_str(), Some("30s"));
}

/// Root says whom nginx's workers run as; nobody else has to.
fn whose() -> &'static [&'static str] {
    if nix::unistd::geteuid().is_root() { &["--user", "root"] } else { &[] }
}

/// The words of `command` are ours: what is wrong is a file or a server that is not there.
fn makes_sense(what: &str, mut command: Command) {
    let (code, said) = refused(&mut command);
    assert_eq!(code, 1, "{what}: {said}");
}

#[test]
fn our_program_understands_what_the_compose_file_tells_it() {
    for (service, parts) in merged(&compose()["services"]) {
        let parts = merged(&parts);
        let Some((_, arguments)) = parts.iter().find(|(key, _)| key == "command") else { continue };
        let scratch = Scratch::new();
        let mut command = tasktonic();
        if service == "gateway" {
            command.args(["gateway", "--folder", "/dev/null/x"]).args(whose());
        } else {
            command.env("TASKTONIC_DATA", scratch.join("data"));
        }
        for argument in words(arguments) {
            // `${NAME:-default}` as compose fills it in.
            let filled = match argument.split_once("${") {
                Some((head, rest)) => {
                    let (inner, tail) = rest.split_once('}').expect("a brace");
                    let default = inner.split_once(":-").map_or("", |(_, default)| default);
                    format!("{head}{default}{tail}")
                }
                None => argument,
            };
            let here = deploy("tasktonic.toml").to_string_lossy().into_owned();
            command.arg(filled.replace("/etc/tasktonic/tasktonic.toml", &here));
        }
        makes_sense(&service, command);
    }
}

#[test]
fn the_units_are_units_and_our_program_understands_them() {
    let scratch = Scratch::new();
    let folder = std::fs::read_dir(deploy("systemd")).expect("the folder");
    for unit in folder.map(|entry| entry.expect("a file").path()) {
        let name = unit.file_name().expect("a name").to_string_lossy().into_owned();
        let whole = std::fs::read_to_string(&unit).expect("text").replace("\\\n", " ");
        let here = whole.replace("/usr/bin/tasktonic", env!("CARGO_BIN_EXE_tasktonic"));
        // Node.js is elsewhere on many machines.
        write(&scratch.join(&name), &here.replace("/usr/bin/node", "/bin/true"));
        if let Some(line) = whole.lines().find_map(|line| line.strip_prefix("ExecStart=")) {
            for needed in [
                "NoNewPrivileges=yes",
                "ProtectSystem=strict",
                "User=tasktonic",
                "Restart=always",
                "StartLimitIntervalSec=0",
            ] {
                assert!(whole.lines().any(|line| line == needed), "{name}: {needed}");
            }
            let Some(arguments) = line.strip_prefix("/usr/bin/tasktonic ") else { continue };
            let mut command = tasktonic();
            command.env("TASKTONIC_STORE", "redis://127.0.0.1:1");
            command.args(split(&arguments.replace("%i", "7001")).iter().map(|word| {
                // Where nothing can be made.
                word.replace("/var/lib/", "/dev/null/")
            }));
            if arguments.starts_with("gateway ") {
                command.args(whose());
            }
            makes_sense(&name, command);
        }
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    verify.env("SYSTEMD_UNIT_PATH", format!("{}:", scratch.path().display()));
    for name in [
        "tasktonic-server@7001.service",
        "tasktonic-worker@1.service",
        "tasktonic-pages@7101.service",
        "tasktonic-gateway.service",
        "tasktonic.target",
    ] {
        let template = name.replace("@7001", "@").replace("@7101", "@").replace("@1.", "@.");
        let instance = scratch.join("instances").join(name);
        write(&instance, &std::fs::read_to_string(scratch.join(template)).expect("written above"));
        verify.arg(instance);
    }
    let output = run(&mut verify);
    let said = String::from_utf8_lossy(&output.stderr);
    let about_ours: Vec<_> = said.lines().filter(|line| line.contains("tasktonic")).collect();
    assert!(output.status.success() && about_ours.is_empty(), "{said}");
}

/// Words as systemd splits them: by spaces, but for those in double quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn the_configuration_of_nginx_to_read_is_what_the_unit_writes() {
    let parts = Parts {
        nginx: "/usr/sbin/nginx".into(),
        modules: "/usr/lib/nginx/modules".into(),
        library: "/usr/lib/tasktonic/libtasktonic_gateway.so".into(),
    };
    let unit = text("systemd/tasktonic-gateway.service").replace("\\\n", " ");
    let line = unit.lines().find(|line| line.starts_with("ExecStart=")).expect("a line");
    let arguments = split(line);
    let all = |flag: &str| -> Vec<String> {
        let pairs = arguments.windows(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| pair[1].clone()).collect()
    };
    let one = |flag: &str| all(flag).remove(0);
    let mut gateway = Gateway::new(parts, Path::new(&one("--folder")));
    gateway.listen = all("--listen");
    gateway.tls =
        Some(Tls { certificate: one("--tls-certificate").into(), key: one("--tls-key").into() });
    gateway.servers = all("--server");
    gateway.door = all("--door");
    gateway.pages = all("--page");
    gateway.trusted = all("--trust");
    gateway.static_files = Some(one("--static").into());
    let wanted = gateway.render().expect("it renders");
    if std::env::var_os("TASKTONIC_WRITE_DOCS").is_some() {
        write(&deploy("nginx/nginx.conf"), &wanted);
    }
    assert!(
        std::fs::read_to_string(deploy("nginx/nginx.conf")).is_ok_and(|there| there == wanted),
        "deploy/nginx/nginx.conf is old: TASKTONIC_WRITE_DOCS=1 and this test write it"
    );
}
