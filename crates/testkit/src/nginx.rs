//! An nginx of one test: the gateway as it is shipped, in a folder and on a port of its own, gone
//! with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
pub use tasktonic_gateway_conf::{Gateway, Guard, Limits, Parts};

use crate::{Process, Scratch, ports, wait};

/// How long nginx may take to listen.
const START: Duration = Duration::from_secs(20);
/// How often another port is tried when somebody was quicker.
const PORTS_TRIED: u32 = 5;

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    files: tasktonic_gateway_conf::Nginx,
    gateway: Gateway,
    address: SocketAddr,
    _scratch: Scratch,
}

/// A gateway that [`Nginx::start`] can start once it has servers and doors: two worker processes,
/// the library of this build.
///
/// # Panics
/// When nginx, its Lua module or the library is missing: a test that cannot run fails.
#[must_use]
pub fn gateway() -> Gateway {
    let parts = Parts::find().unwrap_or_else(|missing| {
        panic!("this test needs the gateway: {missing}; `cargo xtask test` installs nginx")
    });
    let mut gateway = Gateway::new(parts, "".as_ref());
    gateway.workers = Some(2);
    if geteuid().is_root() {
        // Its processes have to read what the test keeps for itself.
        gateway.user = Some("root".to_owned());
    }
    gateway
}

impl Nginx {
    /// Starts it on a free port of the loopback interface. `listen` and `run` are filled in.
    ///
    /// # Panics
    /// When it does not start; the text holds what it said.
    #[must_use]
    pub fn start(mut gateway: Gateway) -> Self {
        for _ in 0..PORTS_TRIED {
            let scratch = Scratch::new();
            gateway.run = scratch.join("nginx");
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
            gateway.listen = vec![address.to_string()];
            let files = gateway.write().expect("a scratch folder can be written");
            let mut process = Process::start(&mut files.command());
            if listens(&mut process, address) {
                let nginx = Self { process, files, gateway, address, _scratch: scratch };
                wait::until("all workers", START, || nginx.workers().len() >= nginx.all());
                return nginx;
            }
            let said = process.output();
            assert!(said.contains("Address already in use"), "nginx does not start:\n{said}");
        }
        panic!("no free port for nginx in {PORTS_TRIED} tries");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was made from. Changed and written again, it is taken over by [`Nginx::reload`].
    #[must_use]
    pub fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    /// The master's process id.
    #[must_use]
    pub fn master(&self) -> u32 {
        self.process.id()
    }

    /// The worker processes that take requests: not those that only wait for their last ones.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        let mut workers = self.process.group();
        workers.retain(|id| {
            let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            command.contains("worker process") && !command.contains("shutting down")
        });
        workers.sort_unstable();
        workers
    }

    /// How many workers there are when nothing starts or ends.
    fn all(&self) -> usize {
        self.gateway.workers.map_or(1, usize::from)
    }

    /// Reloads, and waits until other workers, all of them, take the requests.
    ///
    /// # Panics
    /// When nginx refuses, or the old workers stay.
    pub fn reload(&self) {
        self.gateway.write().expect("the folder can be written again");
        let before = self.workers();
        let done = self.files.reload().output().expect("nginx can be started");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        wait::until("other workers", START, || {
            let now = self.workers();
            now.len() >= self.all() && now.iter().all(|id| !before.contains(id))
        });
    }

    /// Ends it as `nginx -s quit` does: what is under way may end.
    pub fn quit(&self) {
        self.process.signal(Signal::SIGQUIT);
    }

    /// What it has logged about itself.
    #[must_use]
    pub fn error_log(&self) -> String {
        let log = std::fs::read(self.files.error_log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// What it has logged about requests: a JSON object a line.
    #[must_use]
    pub fn access_log(&self) -> String {
        let log = std::fs::read(self.files.access_log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// Waits until it takes connections. False if it ended instead.
fn listens(process: &mut Process, address: SocketAddr) -> bool {
    let since = Instant::now();
    loop {
        if process.ended().is_some() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        assert!(since.elapsed() < START, "nginx does not listen:\n{}", process.output());
        std::thread::sleep(Duration::from_millis(10));
    }
}
