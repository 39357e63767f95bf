//! A second network beside the machine's own, on a link that can be cut. Needs root.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::disk::needs_root;

/// Where a server of a test runs and listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address it binds, and that everybody reaches it by.
    pub address: Ipv4Addr,
    /// The network namespace it runs in; none is that of the test.
    pub namespace: Option<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, namespace: None }
    }
}

impl Place {
    /// `program`, to be started here.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.namespace {
            None => Command::new(program),
            // It replaces itself by the program, so that signals reach that.
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        }
    }
}

/// How many networks this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A network namespace on the far end of a link: the test and what it starts stand on this side.
/// Both are gone when it is dropped.
#[derive(Debug)]
pub struct Apart {
    name: String,
    link: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
}

impl Apart {
    /// A new one, with its link up.
    ///
    /// # Panics
    /// Without root, or `ip` (Debian: iproute2).
    #[must_use]
    pub fn new() -> Self {
        needs_root();
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        // Fifteen letters are all that a link's name may have.
        let name = format!("tt{process}-{made}");
        let link = format!("ttl{process}-{made}");
        // A network of four addresses out of 10.192.0.0/10, by the process: tests run side by side.
        let [_, b, c, d] = (process.wrapping_mul(4).wrapping_add(made << 20)).to_be_bytes();
        let at = |last: u8| Ipv4Addr::new(10, 192 | (b & 63), c, (d & 252) + last);
        let apart = Self { name, link, near: at(1), far: at(2) };
        let Self { name, link, near, far } = &apart;
        ip(&["netns", "add", name]);
        ip(&["link", "add", link, "type", "veth", "peer", "name", "far", "netns", name]);
        ip(&["addr", "add", &format!("{near}/30"), "dev", link]);
        ip(&["link", "set", link, "up"]);
        ip(&["-n", name, "addr", "add", &format!("{far}/30"), "dev", "far"]);
        for end in ["far", "lo"] {
            ip(&["-n", name, "link", "set", end, "up"]);
        }
        apart
    }

    /// A place on this side.
    #[must_use]
    pub fn near(&self) -> Place {
        Place { address: self.near, namespace: None }
    }

    /// A place on the other side.
    #[must_use]
    pub fn far(&self) -> Place {
        Place { address: self.far, namespace: Some(self.name.clone()) }
    }

    /// Cuts the link: from now on nothing passes, and nobody is told.
    pub fn cut(&self) {
        // The far end: here the kernel would tell our programs that the network is down.
        ip(&["-n", &self.name, "link", "set", "far", "down"]);
    }

    /// Mends it.
    pub fn mend(&self) {
        ip(&["-n", &self.name, "link", "set", "far", "up"]);
    }
}

impl Default for Apart {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // The link goes with the namespace of one of its ends, unless something still runs there.
        for words in [["link", "del", &self.link], ["netns", "del", &self.name]] {
            let _ = Command::new("ip").args(words).output();
        }
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).output().unwrap_or_else(|error| {
        panic!("this test needs `ip` (Debian: apt-get install iproute2): {error}")
    });
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {said}", words.join(" "));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::redis::{Options, Redis};
    use crate::wait;

    #[test]
    fn what_is_apart_is_reached_until_the_link_is_cut_and_again_when_it_is_mended() {
        let apart = Apart::new();
        let redis = Redis::start(Options { place: apart.far(), ..Options::default() });
        assert_eq!(redis.cli(&["SET", "key", "there"]), "OK");
        let address = (apart.far().address, redis.port()).into();
        let reached =
            || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok();
        assert!(reached());
        apart.cut();
        assert!(!reached());
        apart.mend();
        wait::until("the mended link", Duration::from_secs(5), reached);
        assert_eq!(redis.cli(&["GET", "key"]), "there");
    }
}
