//! Passes the bytes of TCP connections on, whatever they mean, and can break all of them at once: a
//! line between two processes that a test can cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many connections are kept in mind before those that ended are looked for.
const SWEEP_ABOVE: usize = 64;

#[derive(Debug)]
struct Shared {
    target: u16,
    closing: AtomicBool,
    pairs: Mutex<Vec<(TcpStream, TcpStream)>>,
}

/// A running relay. Dropping it closes its connections.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

impl Relay {
    /// One on `port` (0: a free one) in front of `target`, both of the loopback interface. Nobody
    /// need listen there yet: a connection is then closed at once.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start(port: u16, target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let shared =
            Arc::new(Shared { target, closing: AtomicBool::new(false), pairs: Mutex::default() });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.closing.load(Ordering::SeqCst) {
                    return;
                }
                // Nobody listens: dropping the client's end tells it.
                let _: io::Result<()> = join(&serving, client);
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections, in the middle of whatever they carry. How many there were.
    pub fn cut(&self) -> usize {
        let pairs: Vec<_> = lock(&self.shared.pairs).drain(..).collect();
        pairs.iter().filter(|pair| close(pair)).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _: io::Result<TcpStream> = TcpStream::connect(("127.0.0.1", self.port));
        self.cut();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there was something to close.
fn close((client, server): &(TcpStream, TcpStream)) -> bool {
    let was_open = client.shutdown(Shutdown::Both).is_ok();
    let _: io::Result<()> = server.shutdown(Shutdown::Both);
    was_open
}

fn join(shared: &Shared, client: TcpStream) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", shared.target))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut pairs = lock(&shared.pairs);
    if pairs.len() > SWEEP_ABOVE {
        pairs.retain(|(client, _)| client.peer_addr().is_ok());
    }
    pairs.push((client.try_clone()?, server.try_clone()?));
    drop(pairs);
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        std::thread::spawn(move || {
            let _: io::Result<u64> = io::copy(&mut from, &mut to);
            // The end of one direction is the end of both: nobody here half-closes.
            for end in [from, to] {
                let _: io::Result<()> = end.shutdown(Shutdown::Both);
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    use super::*;
    use crate::wait;

    #[test]
    fn bytes_pass_until_the_line_is_cut_and_a_new_one_passes_again() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut to = stream.try_clone().unwrap();
                    let _ = io::copy(&mut stream, &mut to);
                });
            }
        });
        let relay = Relay::start(0, target);
        for round in 0..3 {
            let mut stream = TcpStream::connect(("127.0.0.1", relay.port())).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello", "round {round}");
            assert!(relay.cut() >= 1);
            assert!(!matches!(stream.read(&mut heard), Ok(n) if n > 0));
        }
    }

    #[test]
    fn where_nobody_listens_the_connection_is_closed() {
        let relay = Relay::start(0, crate::ports::free());
        wait::until("the connection to be closed", Duration::from_secs(10), || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", relay.port())) else {
                return false;
            };
            matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))
        });
    }
}
