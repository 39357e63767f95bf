//! What authentication at the gateway costs: requests per second through the same nginx with the
//! guard and without, in turns, over the same server.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tasktonic_gateway_conf::{Gateway, Guard, Limits, Parts};

use crate::Options;
use crate::figures::{Figure, Times};
use crate::product::{Product, free_port};
use crate::wire::Wire;

/// Connections, each with one request under way.
const CONNECTIONS: usize = 32;
/// Requests on one connection: nginx ends it after a thousand.
const REQUESTS_PER_CONNECTION: usize = 900;
/// Turns of each of the two.
const TURNS: usize = 5;
/// Users, each with a token: no limit per user is in the way, and a cache has something to find.
const USERS: usize = 200;
/// How long nginx may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// What is asked for: small, and answered from what the server has in memory.
const TARGET: &str = "/api/v1/me";

pub(crate) async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let turn = Duration::from_secs(if options.quick { 1 } else { 4 });
    let scratch = options.scratch()?;
    let port = free_port()?;
    let socket = scratch.path().join("door.sock");
    let origins = format!("[server]\norigins = [\"http://127.0.0.1:{port}\"]\n");
    let config = scratch.path().join("bench.toml");
    std::fs::write(&config, origins)?;
    let product = Product::serve(options, scratch.path(), &config, &socket).await?;
    let tokens = product.tokens(USERS).await?;

    let mut rates = [Vec::new(), Vec::new()];
    let mut costs = [Vec::new(), Vec::new()];
    let mut times = [Times::default(), Times::default()];
    for round in 0..TURNS {
        // Who begins changes, so that a machine that grows slower or quicker favours nobody.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for at in order {
            let guard = if at == 0 { Guard::On } else { Guard::Off };
            let nginx =
                Nginx::start(scratch.path(), port, &product.authority, &socket, guard).await?;
            load(port, &tokens, turn / 4).await?;
            let before = nginx.worked()?;
            let found = load(port, &tokens, turn).await?;
            let worked = nginx.worked()? - before;
            drop(nginx);
            rates[at].push(found.count() as f64 / turn.as_secs_f64());
            costs[at].push(worked.as_secs_f64() * 1e6 / found.count() as f64);
            times[at].merge(found);
        }
    }
    product.stop().await?;
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [with, without] = rates.map(median);
    let [cost_with, cost_without] = costs.map(median);
    let note = |what: &str| {
        format!("GET {TARGET} {what}, connections: {CONNECTIONS}, median of {TURNS} turns")
    };
    let mut figures = vec![
        Figure::new("through nginx", with, "per s", note("with the guard, EdDSA")),
        Figure::new("through nginx", without, "per s", note("without it")),
        Figure::new("with the guard / without", with / without, "", "the same run, in turns"),
        Figure::new("CPU of nginx per request", cost_with, "µs", note("with the guard, EdDSA")),
        Figure::new("CPU of nginx per request", cost_without, "µs", note("without it")),
    ];
    for (times, what) in times.iter().zip(["with the guard, EdDSA", "without it"]) {
        figures.extend(times.figures("request through nginx", &note(what)));
    }
    Ok(figures)
}

/// nginx in front of the server, ended with this value.
struct Nginx(Child);

impl Nginx {
    /// CPU time of its worker process so far.
    fn worked(&self) -> Result<Duration> {
        let master = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))
            .context("reading the processes of nginx")?;
        let mut spent = Duration::ZERO;
        for worker in children.split_whitespace() {
            // Nanoseconds on a processor, then two other numbers.
            let path = format!("/proc/{worker}/schedstat");
            let said = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            let nanos = said.split_whitespace().next().and_then(|word| word.parse().ok());
            spent += Duration::from_nanos(nanos.with_context(|| format!("no time in {path}"))?);
        }
        Ok(spent)
    }

    async fn start(
        folder: &Path,
        port: u16,
        server: &str,
        door: &Path,
        guard: Guard,
    ) -> Result<Self> {
        let mut gateway = Gateway::new(Parts::find()?, &folder.join("nginx"));
        gateway.listen = vec![format!("127.0.0.1:{port}")];
        gateway.servers = vec![server.to_owned()];
        gateway.door = vec![format!("unix:{}", door.display())];
        gateway.guard = guard;
        gateway.workers = Some(1);
        // A bench asks more than any person would.
        gateway.limits = Limits { user_rate_per_s: 1_000_000, ..Limits::default() };
        if nix::unistd::geteuid().is_root() {
            gateway.user = Some("root".into());
        }
        let nginx = gateway.write().context("writing the configuration of nginx")?;
        let mut command = nginx.command();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let nginx = Self(command.spawn().context("starting nginx")?);
        let since = Instant::now();
        let authority = format!("127.0.0.1:{port}");
        loop {
            if let Ok(mut wire) = Wire::open(&authority).await
                && let Ok(answer) = wire.ask("GET", "/healthz", None, "").await
                && answer.status / 100 == 2
            {
                return Ok(nginx);
            }
            anyhow::ensure!(since.elapsed() < READY_WITHIN, "nginx does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.0.id()) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(id),
                nix::sys::signal::Signal::SIGTERM,
            );
        }
        let _ = self.0.wait();
    }
}

/// Requests of all users in turn, for `length`.
async fn load(port: u16, tokens: &[String], length: Duration) -> Result<Times> {
    let until = Instant::now() + length;
    let loops: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let tokens = tokens.to_vec();
            tokio::spawn(async move {
                let mut wire = Wire::open(&format!("127.0.0.1:{port}")).await?;
                let mut times = Times::default();
                for (nth, token) in tokens.iter().cycle().skip(n * 7).enumerate() {
                    if nth % REQUESTS_PER_CONNECTION == REQUESTS_PER_CONNECTION - 1 {
                        wire = Wire::open(&format!("127.0.0.1:{port}")).await?;
                    }
                    let since = Instant::now();
                    if since >= until {
                        break;
                    }
                    let answer = wire.ask("GET", TARGET, Some(token), "").await?;
                    anyhow::ensure!(answer.status == 200, "answered with {}", answer.status);
                    times.add(since.elapsed());
                }
                Ok::<_, anyhow::Error>(times)
            })
        })
        .collect();
    let mut times = Times::default();
    for ended in loops {
        times.merge(ended.await.context("a loop of the bench")??);
    }
    Ok(times)
}
