//! One run: the deployment is started, users live, things are broken; then all is healed, all work
//! has to end, everything is written down, and the history is judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tasktonic_client::Client;
use tasktonic_testkit::kill_point;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::check::{check, unmet};
use crate::deployment::{self, Backing, Deployment, Form, KIND};
use crate::ending;
use crate::faults::{Hands, Setting};
use crate::history::{self, Facts, Line, Op, Phase, Recorder, now};
use crate::load::{Caller, USERS, User};
use crate::report::Report;
use crate::watch::{Known, Observer};

/// How long all work may take once nothing is broken, ms: leases that run out, delays, and what
/// waits in line on a busy machine.
const DRAINED_WITHIN_MS: u64 = 60_000;
/// How long the workers' kind may take to be known, and the last events to be heard.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);
const HEARD_WITHIN: Duration = Duration::from_secs(20);
/// How long a hand may go on after its time: the cards that are still to be dealt.
const THROUGH_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much longer things are broken until users have met with everything, and how often that is
/// looked at: on a busy machine little happens in a short run.
const MORE_AT_MOST: Duration = Duration::from_secs(45);
const MET_EVERY: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) form: Form,
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    /// The product's program.
    pub(crate) program: PathBuf,
    /// Where it leaves what it has: emptied first.
    pub(crate) folder: PathBuf,
}

/// Runs it. `stopped` ends it early.
///
/// # Errors
/// When nothing could be started or judged; what went wrong on the way is in the report.
pub(crate) fn run(plan: &Plan, stopped: &Arc<AtomicBool>) -> Result<Report> {
    // A build without kill points would make some faults never happen.
    let _ = kill_point::names(&plan.program);
    if plan.folder.exists() {
        std::fs::remove_dir_all(&plan.folder)?;
    }
    std::fs::create_dir_all(&plan.folder).with_context(|| plan.folder.display().to_string())?;
    let path = plan.folder.join("history.jsonl");
    let recorder = Recorder::open(&path)?;
    let board = Arc::new(Board::default());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let drawn = board.clone();
    let drawing = std::thread::spawn(move || drawn.draw());
    let done = phases(plan, &path, &recorder, &board, stopped, &runtime);
    board.end();
    let _ = drawing.join();
    runtime.shutdown_timeout(Duration::from_secs(2));
    let failure = done.err().map(|error| format!("{error:#}"));
    let lines = history::read(&path)?;
    Ok(Report::new(plan.form, plan.seed, plan.minutes, check(&lines), failure))
}

struct Eyes {
    over: CancellationToken,
    known: Vec<Known>,
}

fn phases(
    plan: &Plan,
    path: &Path,
    recorder: &Recorder,
    board: &Arc<Board>,
    stopped: &Arc<AtomicBool>,
    runtime: &tokio::runtime::Runtime,
) -> Result<()> {
    let mark = |name: &str| {
        board.phase(name);
        recorder.say(&Line { status: Some(name.into()), ..Line::new("run", Op::Mark, Phase::Ok) });
    };
    mark("starting");
    let deployment = Deployment::start(plan.form, &plan.program, &plan.folder, path)?;
    for (worker, labels) in deployment::labels() {
        let facts = Facts { labels, ..Facts::default() };
        recorder.say(&Line { facts, ..Line::new(worker, Op::Labels, Phase::Ok) });
    }
    let names: Vec<String> = USERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let operator = deployment.operator()?;
    let clients: Vec<Vec<Client>> =
        names.iter().map(|name| deployment.clients(name)).collect::<Result<_>>()?;
    runtime.block_on(known_kind(&clients[0][0], stopped))?;

    let mut eyes = Eyes { over: CancellationToken::new(), known: Vec::new() };
    let calls = Arc::new(AtomicU64::new(1));
    let over = Arc::new(AtomicBool::new(false));
    let mut users = Vec::new();
    for (number, ((name, sort), clients)) in USERS.iter().zip(&clients).enumerate() {
        let name = (*name).to_owned();
        let observer =
            Observer::new(number, name.clone(), clients.clone(), recorder.clone(), board.clone());
        eyes.known.push(observer.known());
        runtime.spawn(observer.listen(eyes.over.clone()));
        let (said, seen) = (recorder.clone(), board.clone());
        let by = Caller::new(name, clients.clone(), plan.seed, said, seen, calls.clone());
        let mut user = User::new(*sort, by, &operator);
        if !runtime.block_on(user.prepare(stopped)) {
            bail!("what has to hold from the start could not be set");
        }
        let over = over.clone();
        users.push(runtime.spawn(async move {
            user.live(&over).await;
            user
        }));
    }

    mark("breaking things");
    let since = Instant::now();
    let setting = Setting {
        recorder: recorder.clone(),
        board: board.clone(),
        over: Arc::default(),
        stopped: stopped.clone(),
    };
    let (hands, rest) = Hands::start(plan.form, plan.seed, deployment, &setting);
    let time = Duration::from_secs_f64(plan.minutes * 60.0);
    let goes_on = || {
        if hands.is_any_broken() {
            stopped.store(true, Ordering::SeqCst);
        }
        !stopped.load(Ordering::SeqCst)
    };
    while since.elapsed() < time && goes_on() {
        std::thread::sleep(LOOK_EVERY);
    }
    while since.elapsed() < time + MORE_AT_MOST && goes_on() {
        if unmet(&history::read_so_far(path)?).is_empty() {
            break;
        }
        std::thread::sleep(MET_EVERY);
    }
    setting.over.store(true, Ordering::SeqCst);
    while !hands.are_through() && !stopped.load(Ordering::SeqCst) {
        if since.elapsed() > time + THROUGH_WITHIN {
            bail!("the faults took longer than {THROUGH_WITHIN:?} more than they had");
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let deployment = hands.join(rest);
    over.store(true, Ordering::SeqCst);
    let deployment = deployment?;
    if let Backing::Cluster(cluster) = &deployment.backing {
        cluster.wait_until_agreed();
    }
    mark("healed");
    runtime.block_on(heal(users, &clients, &names, path, recorder, &eyes, &mark, stopped))?;
    eyes.over.cancel();
    drop(deployment);
    Ok(())
}

/// All work ends, and is written down.
#[expect(clippy::too_many_arguments, reason = "one call, of one place")]
async fn heal(
    users: Vec<tokio::task::JoinHandle<User>>,
    clients: &[Vec<Client>],
    names: &[String],
    path: &Path,
    recorder: &Recorder,
    eyes: &Eyes,
    mark: &impl Fn(&str),
    stopped: &AtomicBool,
) -> Result<()> {
    for user in users {
        let mut user = user.await.context("a user")?;
        if !user.settle(stopped).await {
            bail!("what became of a call could not be found out although nothing is broken");
        }
    }
    let last: Vec<Client> = clients.iter().filter_map(|all| all.last().cloned()).collect();
    if ending::drained(&last, DRAINED_WITHIN_MS, stopped).await {
        mark("drained");
    } else {
        // The tasks that are left are findings of their own.
        mark("not drained");
    }
    let lines = history::read_so_far(path)?;
    for ((name, client), known) in names.iter().zip(&last).zip(&eyes.known) {
        let answered = lines.iter().filter(|line| {
            line.op == Op::Submit && line.phase == Phase::Ok && line.user.as_ref() == Some(name)
        });
        let accepted: Vec<String> = answered.filter_map(|line| line.task.clone()).collect();
        let of_user = lines.iter().filter(|line| line.user.as_ref() == Some(name));
        let flows = of_user.filter(|line| line.op == Op::Open);
        let flows = flows.filter_map(|line| line.facts.flow.clone()).collect();
        ending::write_down(name, client, &accepted, &flows, recorder).await?;
        heard(&history::read_so_far(path)?, name, known, stopped).await;
    }
    mark("written down");
    Ok(())
}

/// Waits until the observer has heard of every end. What it does not hear is a finding.
async fn heard(lines: &[Line], user: &str, known: &Known, stopped: &AtomicBool) {
    let since = Instant::now();
    let ends: Vec<(&str, u64)> = lines
        .iter()
        .filter(|line| line.op == Op::Final && line.user.as_deref() == Some(user))
        .filter_map(|line| Some((line.task.as_deref()?, line.rev?)))
        .collect();
    while since.elapsed() < HEARD_WITHIN && !stopped.load(Ordering::SeqCst) {
        let all = {
            let known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            ends.iter().all(|(task, rev)| known.get(*task).is_some_and(|(_, heard)| heard >= rev))
        };
        if all {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the workers have said what they do.
async fn known_kind(client: &Client, stopped: &AtomicBool) -> Result<()> {
    let since = now();
    loop {
        let kinds = client.kinds().await;
        if kinds.is_ok_and(|kinds| kinds.iter().any(|kind| kind.kind == KIND)) {
            return Ok(());
        }
        if stopped.load(Ordering::SeqCst) {
            bail!("the run was stopped");
        }
        if now() - since > u64::try_from(KNOWN_WITHIN.as_millis()).unwrap_or(u64::MAX) {
            bail!("no worker announced the kind {KIND}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
