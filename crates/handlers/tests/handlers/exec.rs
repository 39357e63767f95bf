//! Exec kinds with real programs.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{attempt_code, final_code};
use serde_json::{Value, json};
use tasktonic_handlers::ExecKind;
use tasktonic_protocol::stored::{LogLevel, OUTPUT_FILE_BYTES_MAX};
use tasktonic_testkit::wait;
use tasktonic_worker::testing::{Attempt, Ran};
use tasktonic_worker::{Failure, Input, Stop};

const SOON: Duration = Duration::from_secs(20);

/// A kind that runs this script; `more` is added to its declaration.
fn script(folder: &Path, text: &str, more: &str) -> ExecKind {
    let path = folder.join("script.sh");
    std::fs::write(&path, text).unwrap();
    let toml = format!("[[exec]]\nkind = 'test'\ncommand = ['sh', {path:?}]\n{more}\n");
    ExecKind::parse_all(&toml, folder).unwrap().remove(0)
}

async fn run(text: &str, more: &str, payload: Value) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    Attempt::new(payload).run_any(&script(folder.path(), text, more)).await
}

fn lives(pid: i32) -> bool {
    // A zombie is dead; only its parent has not noticed.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z'))
    })
}

fn pid_in(path: &Path) -> i32 {
    wait::for_some("a process number", SOON, || {
        let text = std::fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().parse().unwrap())
    })
}

#[tokio::test]
async fn the_payload_goes_in_and_progress_logs_and_output_come_out() {
    let ran = run(
        r#"
        IFS= read -r payload
        echo "plain words"
        echo '{"progress":{"done":1,"total":2,"unit":"rows","note":"half"}}'
        echo '{"log":{"level":"debug","text":"quiet"}}'
        echo "a complaint" >&2
        printf '{"output":{"got":%s,"n":1.50}}\n' "$payload"
        "#,
        "",
        json!({ "text": "quotes \" and $(touch /tmp/nothing) `id`; é" }),
    )
    .await;
    assert_eq!(ran.output()["got"]["text"], "quotes \" and $(touch /tmp/nothing) `id`; é");
    assert_eq!(ran.progress.len(), 1);
    assert_eq!(
        (ran.progress[0].done, ran.progress[0].unit.as_deref(), ran.progress[0].note.as_deref()),
        (1, Some("rows"), Some("half"))
    );
    for line in [
        (LogLevel::Info, "plain words"),
        (LogLevel::Debug, "quiet"),
        (LogLevel::Warn, "a complaint"),
    ] {
        assert!(
            ran.logs.contains(&(line.0, line.1.to_owned())),
            "{line:?} is not in {:?}",
            ran.logs
        );
    }
}

#[tokio::test]
async fn a_program_that_says_nothing_completes_with_null() {
    assert_eq!(run("exit 0", "", json!({})).await.output(), Value::Null);
}

#[tokio::test]
async fn an_exit_status_is_a_failed_attempt_that_quotes_the_last_complaint() {
    let ran = run("echo first >&2; echo 'no space left' >&2; exit 3", "", json!({})).await;
    let (code, message) = attempt_code(&ran);
    assert_eq!(code, "exec_failed");
    assert!(message.contains("exit status: 3") && message.ends_with("no space left"), "{message}");
}

#[tokio::test]
async fn an_error_in_words_counts_more_than_the_status_and_may_be_final() {
    let text = r#"echo '{"error":{"code":"no_report","message":"There is no report 7.","final":true}}'; exit 1"#;
    assert_eq!(final_code(&run(text, "", json!({})).await), ("no_report", "There is no report 7."));
    let text = r#"echo '{"error":{"code":"busy","message":"Later."}}'; exit 0"#;
    assert_eq!(attempt_code(&run(text, "", json!({})).await), ("busy", "Later."));
}

#[tokio::test]
async fn a_missing_program_and_one_killed_from_outside_are_failed_attempts() {
    let kind = ExecKind::parse_all(
        "[[exec]]\nkind = 'x'\ncommand = ['./no-such-program']",
        Path::new("/tmp"),
    )
    .unwrap();
    let ran = Attempt::new(json!({})).run_any(&kind[0]).await;
    assert_eq!(attempt_code(&ran).0, "exec_not_started");
    let ran = run("kill -9 $$", "", json!({})).await;
    assert!(attempt_code(&ran).1.contains("signal: 9"), "{:?}", ran.outcome);
}

#[tokio::test]
async fn the_environment_holds_what_was_declared_and_what_a_task_is_and_no_more() {
    let ran = run(
        r#"env | sort | cut -d= -f1 | tr '\n' ' '; echo; echo "{\"output\":[\"$TASKTONIC_ATTEMPT\",\"$TASKTONIC_FENCE\",\"$GREETING\",\"$TASKTONIC_TASK\"]}""#,
        "env = { GREETING = 'hello' }",
        json!({}),
    )
    .await;
    let output = ran.output();
    assert_eq!((&output[0], &output[2]), (&json!("1"), &json!("hello")));
    assert_eq!(output[1], json!(((1_u64 << 32) + 1).to_string()));
    assert_eq!(output[3].as_str().unwrap().len(), 16);
    let names: Vec<_> = ran.logs[0].1.split_whitespace().collect();
    // The shell adds these by itself.
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    for name in names {
        let known = ["PATH", "HOME", "LANG", "GREETING"].contains(&name)
            || name.starts_with("TASKTONIC_")
            || own.contains(&name);
        assert!(known, "{name} was passed on");
    }
}

#[tokio::test]
async fn a_payload_larger_than_a_pipe_reaches_a_program_that_prints_before_it_reads() {
    let text = "i=0; while [ $i -lt 3000 ]; do echo 'a line that fills the pipe, slowly but surely'; i=$((i+1)); done; wc -c | tr -d ' ' | sed 's/.*/{\"output\":&}/'";
    let payload = json!({ "long": "x".repeat(400_000) });
    let size = payload.to_string().len() + 1;
    let ran = run(text, "", payload).await;
    assert_eq!(ran.output(), json!(size));
    // The log keeps so many lines and says once that there were more.
    assert_eq!(ran.logs.len(), 2_001);
    assert!(ran.logs[2_000].1.contains("more than 2000 lines"));
}

#[tokio::test]
async fn a_program_need_not_read_its_payload() {
    let ran =
        run("exec <&-; echo '{\"output\":1}'", "", json!({ "long": "x".repeat(400_000) })).await;
    assert_eq!(ran.output(), json!(1));
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_ended() {
    let since = Instant::now();
    let ran = run("yes", "output_bytes = 1_000_000\noutput_lines = 5", json!({})).await;
    assert_eq!(final_code(&ran).0, "exec_printed_too_much");
    assert_eq!(ran.logs.len(), 6);
    assert!(since.elapsed() < SOON);
}

/// A program that prints an output of so many bytes, in words of `x`.
fn prints(bytes: usize) -> String {
    format!(r#"printf '{{"output":"'; head -c {bytes} /dev/zero | tr '\0' x; echo '"}}'"#)
}

#[tokio::test]
async fn a_long_output_is_taken_whole_and_one_that_is_too_large_is_refused_with_a_reason() {
    for bytes in [70_000, 300_000, OUTPUT_FILE_BYTES_MAX - 2] {
        let ran = run(&prints(bytes), "", json!({})).await;
        assert_eq!(ran.output().as_str().map(str::len), Some(bytes));
    }
    for bytes in [OUTPUT_FILE_BYTES_MAX - 1, OUTPUT_FILE_BYTES_MAX + 5_000] {
        assert_eq!(final_code(&run(&prints(bytes), "", json!({})).await).0, "output_too_large");
    }
    // Any other line of ours keeps to what lines may have.
    let text = prints(300_000).replace("output", "log");
    assert_eq!(final_code(&run(&text, "", json!({})).await).0, "output_too_large");
}

#[tokio::test]
async fn cancelling_asks_first_and_the_last_words_are_heard() {
    let folder = tempfile::tempdir().unwrap();
    let kind = script(
        folder.path(),
        "trap 'echo cleaning up; exit 0' TERM\necho '{\"progress\":{\"done\":1,\"total\":2}}'\nwhile :; do sleep 0.05; done",
        "",
    );
    let attempt = Attempt::new(json!({}));
    let (stop, seen) = (attempt.cancel_token(), attempt.clone());
    let (ran, ()) = tokio::join!(attempt.run_any(&kind), async {
        while seen.progress_so_far().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    });
    assert_eq!(ran.failure(), &Failure::Cancelled);
    assert!(ran.logs.iter().any(|(_, line)| line == "cleaning up"), "{:?}", ran.logs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_kills_the_whole_group_even_if_it_will_not_listen() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let kind = script(
        folder.path(),
        &format!(
            "trap '' TERM\nsh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 0.1; done' &\nwait\nwhile :; do sleep 0.1; done",
            pid.display()
        ),
        "",
    );
    let attempt = Attempt::new(json!({}));
    let stop = attempt.cancel_token();
    let running = tokio::spawn(async move { attempt.run_any(&kind).await });
    let grandchild = tokio::task::spawn_blocking(move || pid_in(&pid)).await.unwrap();
    assert!(lives(grandchild));
    let since = Instant::now();
    stop.cancel();
    assert_eq!(running.await.unwrap().failure(), &Failure::Cancelled);
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "a worker waits 5 s, this took {:?}",
        since.elapsed()
    );
    wait::until("the grandchild to be gone", SOON, || !lives(grandchild));
}

#[tokio::test]
async fn a_program_told_by_the_soft_limit_may_finish_or_gives_up_its_attempt() {
    let tell = async |trap: &str| {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "{trap}\necho '{{\"progress\":{{\"done\":1,\"total\":2}}}}'\nwhile :; do sleep 0.05; done"
        );
        let kind = script(folder.path(), &text, "");
        let attempt = Attempt::new(json!({}));
        let seen = attempt.clone();
        let told = attempt.clone();
        let (ran, ()) = tokio::join!(attempt.run_any(&kind), async {
            while seen.progress_so_far().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            told.stop(Stop::SoftLimit);
        });
        ran
    };
    let saves = tell(r#"trap 'echo "{\"output\":7}"; exit 0' TERM"#).await;
    assert_eq!(saves.output(), json!(7), "what it has is its output");
    // More than the grace of a cancellation: nobody kills it before the limit itself.
    let slow = tell(r#"trap 'sleep 4; echo "{\"output\":8}"; exit 0' TERM"#).await;
    assert_eq!(slow.output(), json!(8));
    let plain = tell("").await;
    assert_eq!(plain.failure(), &Failure::Cancelled, "it ended because it was told to");
}

#[tokio::test]
async fn phases_of_a_program_are_parts_of_one_bar() {
    let ran = run(
        r#"echo '{"progress":{"done":1,"total":1,"phase":"fetch","weight":0.25}}'
echo '{"progress":{"done":1,"total":2,"phase":"draw","weight":0.75,"unit":"pages"}}'"#,
        "",
        json!({}),
    )
    .await;
    let last = ran.progress.last().unwrap();
    assert_eq!((last.phase.as_deref(), last.unit.as_deref()), (Some("draw"), Some("pages")));
    assert_eq!(last.part(), Some(0.625));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_attempt_kills_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let kind = script(
        folder.path(),
        &format!("sh -c 'echo $$ > {}; while :; do sleep 0.1; done' &\nwait", pid.display()),
        "",
    );
    let running = tokio::spawn(async move { Attempt::new(json!({})).run_any(&kind).await });
    let grandchild = tokio::task::spawn_blocking(move || pid_in(&pid)).await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    wait::until("the grandchild to be gone", SOON, || !lives(grandchild));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_leaves_behind_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let kind = script(
        folder.path(),
        &format!(
            "sh -c 'echo $$ > {0}; while :; do sleep 0.1; done' &\nwhile [ ! -s {0} ]; do sleep 0.02; done\necho '{{\"output\":\"done\"}}'",
            pid.display()
        ),
        "",
    );
    let since = Instant::now();
    let ran = Attempt::new(json!({})).run_any(&kind).await;
    assert_eq!(ran.output(), json!("done"));
    assert!(since.elapsed() < SOON);
    let left = pid_in(&pid);
    wait::until("what was left behind to be gone", SOON, || !lives(left));
}

#[tokio::test]
async fn it_runs_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inside")).unwrap();
    let kind = script(
        folder.path(),
        "echo \"{\\\"output\\\":\\\"$(basename \"$PWD\")\\\"}\"",
        "cwd = 'inside'",
    );
    assert_eq!(Attempt::new(json!({})).run_any(&kind).await.output(), json!("inside"));
}

#[tokio::test]
async fn a_program_that_wants_them_gets_the_outputs_of_the_tasks_before_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        test "$(stat -c %a "$TASKTONIC_INPUTS")" = 600 || exit 4
        echo "$TASKTONIC_INPUTS" > seen
        printf '{"output":[%s]}\n' "$(paste -sd, "$TASKTONIC_INPUTS")"
    "#;
    let kind = script(folder.path(), text, "inputs = true\ncwd = '.'");
    let inputs =
        [Input::completed("north", &json!({ "n": 1 })), Input::completed("south", &json!("é\n"))];
    let ran = Attempt::new(json!({})).inputs(inputs).run_any(&kind).await;
    let output = ran.output();
    assert_eq!(
        (&output[0]["name"], &output[0]["status"], &output[0]["output"]),
        (&json!("north"), &json!("completed"), &json!({ "n": 1 }))
    );
    assert_eq!((&output[1]["output"], &output[1]["on_failure"]), (&json!("é\n"), &json!("fail")));
    assert_eq!(output.as_array().unwrap().len(), 2);
    let path = std::fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(!Path::new(path.trim()).exists(), "it goes with the attempt");
    // Whose task waited for nobody gets an empty one, and who does not ask gets none.
    let ran = run(
        r#"test -f "$TASKTONIC_INPUTS" && ! test -s "$TASKTONIC_INPUTS""#,
        "inputs = true",
        json!({}),
    )
    .await;
    assert_eq!(ran.output(), Value::Null);
    assert_eq!(run(r#"test -z "$TASKTONIC_INPUTS""#, "", json!({})).await.output(), Value::Null);
}
