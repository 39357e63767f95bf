//! A private Redis of one phase: started, asked what it has spent, killed with the phase.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::spent::Info;
use crate::figures::Times;
use crate::product::free_port;

/// How long a server may take to answer.
const START_WITHIN: Duration = Duration::from_secs(10);
/// PINGs that are timed.
const PINGS: usize = 2_000;

/// Which cores belong to Redis, and which to everything else: words for `taskset -c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) redis: String,
    pub(crate) rest: String,
}

impl Cores {
    /// The first core for Redis and the others for the rest; of one core, the same for both.
    pub(crate) fn of(count: usize) -> Self {
        let rest = match count {
            0 | 1 => "0".into(),
            2 => "1".into(),
            more => format!("1-{}", more - 1),
        };
        Self { redis: "0".into(), rest }
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one in a folder below `scratch` and waits until it answers.
    pub(crate) fn start(scratch: &Path, cores: &Cores, aof: bool) -> Result<Self> {
        let folder = tempfile::tempdir_in(scratch).context("a folder for Redis")?;
        let port = free_port()?;
        let file = folder.path().join("redis.conf");
        let (appendonly, place) = (if aof { "yes" } else { "no" }, folder.path().display());
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {place}\nlogfile {place}/redis.log\nsave \"\"\n\
             appendonly {appendonly}\nappendfsync always\n"
        );
        std::fs::write(&file, text).context("writing the configuration of Redis")?;
        let child = Command::new("taskset")
            .args(["-c", &cores.redis, "redis-server"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting redis-server by taskset; install redis-server and util-linux")?;
        let server = Self { child, port, _folder: folder };
        let since = Instant::now();
        while server.info().is_err() {
            anyhow::ensure!(since.elapsed() < START_WITHIN, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// One PING and its answer, half of all, µs.
    pub(crate) fn ping_us(&self) -> Result<f64> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).context("connecting to Redis")?;
        stream.set_nodelay(true)?;
        let mut times = Times::default();
        for _ in 0..PINGS {
            let since = Instant::now();
            stream.write_all(b"PING\r\n")?;
            stream.read_exact(&mut [0; b"+PONG\r\n".len()])?;
            times.add(since.elapsed());
        }
        Ok(times.percentile_ms(50.0) * 1e3)
    }

    /// What it says of itself now.
    pub(crate) fn info(&self) -> Result<Info> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).context("connecting to Redis")?;
        stream.set_read_timeout(Some(START_WITHIN))?;
        stream.write_all(b"INFO all\r\n")?;
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        reader.read_line(&mut head)?;
        let Some(length) = head.strip_prefix('$').and_then(|text| text.trim().parse().ok()) else {
            bail!("Redis answered INFO with {head:?}");
        };
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Info::parse(&String::from_utf8_lossy(&body)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_has_a_core_of_its_own_where_there_are_two() {
        let words = |count| (Cores::of(count).redis, Cores::of(count).rest);
        assert_eq!(words(1), ("0".into(), "0".into()));
        assert_eq!(words(2), ("0".into(), "1".into()));
        assert_eq!(words(8), ("0".into(), "1-7".into()));
    }
}
