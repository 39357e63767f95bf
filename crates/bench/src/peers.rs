//! Task Tonic beside its peers: the same tasks, the same Redis, one after the other in one run.
//!
//! It knows how to start a peer's two programs and what they write down; what is in them is in
//! `crates/bench/peers`.

mod goals;
mod install;
mod page;
mod phases;
mod program;
mod report;
mod roster;
pub(crate) mod server;
pub(crate) mod spent;
mod starts;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tasktonic_protocol::time::rfc3339;
use tasktonic_store::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};

use crate::Options;
use crate::figures::Figure;
use crate::machine::Machine;
use page::CONCURRENCIES;
use phases::{Lengths, Place};
use program::{Launch, PAD};
use report::{Measured, Report};
use roster::Peer;
use server::{Cores, Server};

/// What this verb takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PeersOptions {
    /// Only these, by name; nothing is written to the documents then
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// With a Redis that makes every write durable (AOF always); not written to the documents
    #[arg(long)]
    aof: bool,
    /// Only install what the peers need, and measure nothing
    #[arg(long)]
    install: bool,
}

/// Measures them all, or those asked for. Whoever ends it early leaves no program behind: each
/// has a session of its own, and nothing but this would end it.
pub(crate) async fn measure(
    options: &Options,
    asked: &PeersOptions,
    repository: &Path,
) -> Result<Vec<Figure>> {
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        figures = all(options, asked, repository) => figures,
        _ = tokio::signal::ctrl_c() => bail!("interrupted; nothing was written"),
        _ = terminated.recv() => bail!("terminated; nothing was written"),
    }
}

async fn all(options: &Options, asked: &PeersOptions, repository: &Path) -> Result<Vec<Figure>> {
    let chosen = roster::chosen(&asked.only)?;
    let repository = &std::path::absolute(repository).context("finding the repository")?;
    let scratch = options.scratch()?;
    let machine = Machine::here(repository, scratch.path());
    machine.warn();
    let at = rfc3339(Clock::system().now_ms());
    let cores = Cores::of(machine.cores);
    let place = install::place()?;

    let mut launches = Vec::new();
    for peer in &chosen {
        eprintln!("installing {} {}", peer.title, peer.version(repository));
        launches.push(install::install(peer, repository, &place, &cores));
    }
    if asked.install {
        for (peer, launch) in chosen.iter().zip(launches) {
            launch.with_context(|| format!("installing {}", peer.title))?;
        }
        return Ok(Vec::new());
    }

    // What was built a moment ago is not what is measured.
    let since = Instant::now();
    let lengths = Lengths::of(options.quick);
    let scratch_path = scratch.path().to_owned();
    let stage = Place { scratch: scratch_path, cores, aof: asked.aof, lengths };
    let server = Server::start(&stage.scratch, &stage.cores, stage.aof)?;
    let (redis_version, ping_p50_us) = (server.info()?.version, server.ping_us()?);
    drop(server);

    let mut peers: Vec<Measured> = chosen.iter().map(|peer| blank(peer, repository)).collect();
    for (measured, launch) in peers.iter_mut().zip(&launches) {
        let since = Instant::now();
        match launch {
            Ok(launch) => one(&stage, launch, measured).await,
            Err(error) => measured.failures.push(format!("could not be installed: {error:#}")),
        }
        for why in &measured.failures {
            eprintln!("{}: {why}", measured.title);
        }
        eprintln!("{}: took {:.0} s", measured.title, since.elapsed().as_secs_f64());
    }
    recoveries(&stage, &launches, &mut peers).await;

    let payload = json!({ "n": 100_000, "at": starts::now_ns(), "pad": PAD }).to_string().len();
    let report = Report {
        at,
        machine,
        redis_version,
        aof: asked.aof,
        quick: options.quick,
        payload_bytes: payload as u64,
        ping_p50_us,
        minutes: since.elapsed().as_secs_f64() / 60.0,
        peers,
    };
    let is_whole = !options.quick && !asked.aof && asked.only.is_empty();
    let docs = if is_whole { repository.join("docs") } else { place.join("docs") };
    keep(&report, &docs)?;
    Ok(figures(&report))
}

fn blank(peer: &Peer, repository: &Path) -> Measured {
    Measured {
        name: peer.name.into(),
        title: peer.title.into(),
        language: peer.language.name().into(),
        version: peer.version(repository),
        settings: peer.settings.into(),
        bulk: peer.bulk.into(),
        recovered_by: peer.recovery.into(),
        submit: None,
        drains: Vec::new(),
        idle: None,
        load: None,
        recovery: None,
        failures: Vec::new(),
    }
}

/// All phases of one peer but the last; what fails is written down, and the rest goes on.
async fn one(stage: &Place, launch: &Launch, measured: &mut Measured) {
    let title = measured.title.clone();
    let say = |text: String| eprintln!("{title}: {text}");
    match stage.submit(launch).await {
        Ok(submit) => {
            say(format!("submits {:.0} per s, {:.0} in bulk", submit.per_s, submit.bulk_per_s));
            measured.submit = Some(submit);
        }
        Err(error) => measured.failures.push(format!("submitting: {error:#}")),
    }
    let peer = roster::PEERS.iter().find(|peer| peer.name == measured.name);
    let limit = peer.and_then(|peer| peer.concurrency_max);
    let waiting_max = peer.and_then(|peer| peer.waiting_max);
    for concurrency in CONCURRENCIES {
        if let Some((max, why)) = limit
            && concurrency > max
        {
            measured.failures.push(format!("{concurrency} at once: {why}"));
            continue;
        }
        match stage.drain(launch, concurrency, waiting_max).await {
            Ok(drain) => {
                say(format!("drains {:.0} per s, {concurrency} at once", drain.per_s));
                measured.drains.push(drain);
            }
            Err(error) => {
                measured.failures.push(format!("draining, {concurrency} at once: {error:#}"));
            }
        }
    }
    let drained = measured.drain(phases::WAITS_AT).map(|drain| drain.per_s);
    let (Some(drained), Some(submit)) = (drained, &measured.submit) else {
        measured.failures.push("waits: half of what it does is not known".into());
        return;
    };
    match stage.waits(launch, phases::load(drained, submit.per_s)).await {
        Ok((idle, load)) => {
            say(format!(
                "idle {:.2} ms, at {:.0} per s {:.2} ms",
                idle.p50_ms, load.per_s, load.p50_ms
            ));
            (measured.idle, measured.load) = (Some(idle), Some(load));
        }
        Err(error) => measured.failures.push(format!("waits: {error:#}")),
    }
}

/// The killed workers of all peers together: they mostly wait.
async fn recoveries(stage: &Place, launches: &[Result<Launch>], peers: &mut [Measured]) {
    eprintln!(
        "killing a worker of each, and waiting {} s at most",
        stage.lengths.recovery.as_secs()
    );
    let mut running = tokio::task::JoinSet::new();
    for (at, launch) in launches.iter().enumerate() {
        if let Ok(launch) = launch {
            let (stage, launch) = (stage.clone(), launch.clone());
            running.spawn(async move { (at, stage.recovery(&launch).await) });
        }
    }
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((at, Ok(recovery))) => peers[at].recovery = Some(recovery),
            Ok((at, Err(error))) => peers[at].failures.push(format!("after a kill: {error:#}")),
            Err(error) => eprintln!("a recovery could not be measured: {error}"),
        }
    }
}

/// Writes the page, the numbers and the pictures below `docs`.
fn keep(report: &Report, docs: &Path) -> Result<()> {
    let (pages, images) = (docs.join("benchmarks"), docs.join("images"));
    for folder in [&pages, &images] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let write = |path: std::path::PathBuf, text: &str| {
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let numbers = serde_json::to_string_pretty(report)?;
    write(pages.join("peers.json"), &format!("{numbers}\n"))?;
    write(pages.join("peers.md"), &page::text(report))?;
    for (name, svg) in page::pictures(report) {
        write(images.join(name), &svg)?;
    }
    eprintln!("written: {}", pages.join("peers.md").display());
    Ok(())
}

/// The run in short, for the terminal.
fn figures(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    for peer in &report.peers {
        let title = &peer.title;
        for drain in &peer.drains {
            let note =
                format!("{} at once, {:.0} µs of its CPU each", drain.concurrency, drain.cpu_us);
            figures.push(Figure::new(format!("{title} drains"), drain.per_s, "per s", note));
        }
        if let Some(submit) = &peer.submit {
            let note = format!(
                "one by one, p50 {:.0} µs; {:.0} in bulk",
                submit.p50_us, submit.bulk_per_s
            );
            figures.push(Figure::new(format!("{title} submits"), submit.per_s, "per s", note));
        }
        if let Some(idle) = &peer.idle {
            let note = format!("idle, p50; p99 {:.2} ms", idle.p99_ms);
            figures.push(Figure::new(format!("{title} starts after"), idle.p50_ms, "ms", note));
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_kept_as_page_numbers_and_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let run = report::tests::report();
        keep(&run, folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&read("benchmarks/peers.json")).unwrap(), run);
        let page = read("benchmarks/peers.md");
        for (name, _) in page::pictures(&run) {
            assert!(page.contains(&format!("(../images/{name})")), "{name}");
            assert!(read(&format!("images/{name}")).starts_with("<svg"), "{name}");
        }
    }

    #[test]
    fn the_terminal_shows_whoever_was_measured() {
        let names: Vec<String> =
            figures(&report::tests::report()).into_iter().map(|figure| figure.name).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("BULLMQ")).count(), 5, "{names:?}");
    }
}
