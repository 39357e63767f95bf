//! Free TCP ports.

use std::net::{Ipv4Addr, TcpListener};

/// A port of the loopback interface that was free a moment ago. Whoever starts a server on it
/// should be ready for somebody else having been quicker; a server that can bind port 0 and say
/// which it got is better.
///
/// # Panics
/// When the machine has no free port.
#[must_use]
pub fn free() -> u16 {
    several(1)[0]
}

/// As [`free`], several at once, all different.
///
/// # Panics
/// When the machine has not that many free ports.
#[must_use]
pub fn several(count: usize) -> Vec<u16> {
    // All are held until the last is found, else the system may give the same one again.
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
        .collect();
    held.iter().map(|held| held.local_addr().expect("a bound address").port()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_ports_are_different_and_can_be_bound() {
        let mut ports = several(20);
        let held: Vec<_> = ports
            .iter()
            .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).ok())
            .collect();
        assert!(held.len() >= 19, "another program may have been quicker, but only just");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
