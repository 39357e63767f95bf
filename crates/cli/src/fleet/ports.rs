//! Ports of the loopback interface for our own processes.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Where ports for outgoing connections begin, where the system does not say.
const EPHEMERAL_DEFAULT: u16 = 32_768;
/// The lowest port that is taken.
const LOWEST: u16 = 15_000;

/// `count` ports that are free now, all different.
///
/// They lie below those the system gives to outgoing connections. Somebody who keeps connecting to
/// a port of that range while its server is away can end up connected to himself, and the server
/// then finds its port taken.
pub(crate) fn free(count: usize) -> Result<Vec<u16>> {
    let highest = ephemeral().max(LOWEST + 1);
    let span = highest - LOWEST;
    let begin = rand::random::<u16>() % span;
    let mut held = Vec::with_capacity(count);
    for offset in 0..span {
        if held.len() == count {
            break;
        }
        let port = LOWEST + (begin + offset) % span;
        // All are held until the last is found.
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|held| (port, held)));
    }
    if held.len() < count {
        bail!("this machine has no {count} free ports between {LOWEST} and {highest}");
    }
    Ok(held.iter().map(|(port, _)| *port).collect())
}

/// Whether nobody listens on `port`.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn ephemeral() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = text.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    first.unwrap_or(EPHEMERAL_DEFAULT).min(EPHEMERAL_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_and_below_those_of_outgoing_connections() {
        let mut ports = free(20).unwrap();
        assert!(ports.iter().all(|port| (LOWEST..ephemeral()).contains(port)), "{ports:?}");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
