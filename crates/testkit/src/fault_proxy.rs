//! A proxy in front of one Redis server that plays a chosen fault at a chosen call. It reads the
//! protocol, so that it knows calls and their answers; it never knows what they mean.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset and the server never sees the call.
    ResetBefore,
    /// The server carries the call out, and the connection is reset instead of its answer.
    ResetAfter,
    /// The server carries the call out; from its answer on nothing is heard on the connection any
    /// more, which stays open.
    Silence,
    /// Half of the answer comes, then the connection is reset.
    Half,
    /// The server never sees the call; the answer is this error line, without the `-`.
    Refuse(String),
    /// The answer, and all behind it, come later.
    Late(Duration),
    /// The server carries the call out twice; the second answer is kept back.
    Twice,
}

/// Which call, and what happens to it.
#[derive(Debug)]
struct Plan {
    /// Its first words, upper case.
    words: Vec<String>,
    /// Calls like it that pass before.
    skip: u64,
    /// How often.
    times: u64,
    fault: Fault,
}

/// What happens to an answer.
#[derive(Debug)]
enum Play {
    Pass,
    Swallow,
    Reset,
    Silence,
    Half,
    Late(Duration),
    /// No answer of the server: these bytes instead.
    Say(Vec<u8>),
}

#[derive(Debug)]
struct Shared {
    target: u16,
    plans: Mutex<Vec<Plan>>,
    played: AtomicU64,
    closing: AtomicBool,
    /// Connections that are open, by their number.
    lines: Mutex<BTreeMap<u64, Line>>,
    opened: AtomicU64,
}

/// One connection: both its ends, and the client's side of it.
#[derive(Debug)]
struct Line {
    ends: [TcpStream; 2],
    down: Arc<Mutex<Down>>,
}

impl Line {
    fn close(&self) {
        for end in &self.ends {
            let _: io::Result<()> = end.shutdown(Shutdown::Both);
        }
    }
}

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// One in front of the server at `target`, a port of the loopback interface.
    ///
    /// # Panics
    /// When the machine has no free port.
    #[must_use]
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let shared = Arc::new(Shared {
            target,
            plans: Mutex::default(),
            played: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            lines: Mutex::default(),
            opened: AtomicU64::new(0),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.closing.load(Ordering::SeqCst) {
                    return;
                }
                // A server that is gone closes the client's connection too.
                let _: io::Result<()> = serve(&serving, client);
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As a Redis URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Plays `fault` at the next `times` calls that begin with `words` (any case), after `skip` of
    /// them have passed.
    pub fn plan(&self, words: &[&str], skip: u64, times: u64, fault: Fault) {
        let words = words.iter().map(|word| word.to_uppercase()).collect();
        lock(&self.shared.plans).push(Plan { words, skip, times, fault });
    }

    /// Forgets what is planned and has not happened.
    pub fn clear(&self) {
        lock(&self.shared.plans).clear();
    }

    /// How many faults have been played.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::SeqCst)
    }

    /// Lets connections on which channels were subscribed fall silent, and stay open: nothing is
    /// heard on them any more, and nobody says so. How many there were.
    pub fn hush_listeners(&self) -> usize {
        let lines = lock(&self.shared.lines);
        let listening = lines.values().filter(|line| {
            let mut down = lock(&line.down);
            let fresh = down.listens && !down.silent;
            down.silent |= fresh;
            fresh
        });
        listening.count()
    }

    /// Resets all connections.
    pub fn cut(&self) {
        std::mem::take(&mut *lock(&self.shared.lines)).values().for_each(Line::close);
    }
}

impl Drop for FaultProxy {
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

/// The client's side of one connection.
#[derive(Debug)]
struct Down {
    client: TcpStream,
    plays: VecDeque<Play>,
    silent: bool,
    listens: bool,
}

impl Down {
    /// Says what needs no answer of the server, as far as it is its turn.
    fn say(&mut self) -> io::Result<()> {
        while let Some(Play::Say(_)) = self.plays.front() {
            if let Some(Play::Say(bytes)) = self.plays.pop_front()
                && !self.silent
            {
                self.client.write_all(&bytes)?;
            }
        }
        Ok(())
    }
}

fn serve(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", shared.target))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let down = Arc::new(Mutex::new(Down {
        client: client.try_clone()?,
        plays: VecDeque::new(),
        silent: false,
        listens: false,
    }));
    let ends = [client.try_clone()?, server.try_clone()?];
    let number = shared.opened.fetch_add(1, Ordering::SeqCst);
    let (up, answers) = ((client, server.try_clone()?), server);
    lock(&shared.lines).insert(number, Line { ends, down: down.clone() });
    // Whichever way ends first ends the other, and nothing of it is kept.
    let close = move |shared: &Shared| {
        if let Some(line) = lock(&shared.lines).remove(&number) {
            line.close();
        }
    };
    let (for_calls, for_answers) = ((shared.clone(), down.clone()), (shared.clone(), down));
    std::thread::spawn(move || {
        let (shared, down) = for_calls;
        let _: io::Result<()> = calls(&shared, up.0, up.1, &down);
        close(&shared);
    });
    std::thread::spawn(move || {
        let (shared, down) = for_answers;
        let _: io::Result<()> = relay(answers, &down);
        close(&shared);
    });
    Ok(())
}

/// Passes calls on, until the connection ends or a fault ends it.
fn calls(
    shared: &Shared,
    client: TcpStream,
    mut server: TcpStream,
    down: &Mutex<Down>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    loop {
        let frame = frame(&mut reader)?;
        let fault = planned(shared, &frame);
        if fault.is_some() {
            shared.played.fetch_add(1, Ordering::SeqCst);
        }
        let (times, plays) = match fault {
            None => (1, vec![Play::Pass]),
            Some(Fault::ResetBefore) => return Ok(()),
            Some(Fault::ResetAfter) => (1, vec![Play::Reset]),
            Some(Fault::Silence) => (1, vec![Play::Silence]),
            Some(Fault::Half) => (1, vec![Play::Half]),
            Some(Fault::Late(by)) => (1, vec![Play::Late(by)]),
            Some(Fault::Twice) => (2, vec![Play::Pass, Play::Swallow]),
            Some(Fault::Refuse(line)) => (0, vec![Play::Say(format!("-{line}\r\n").into_bytes())]),
        };
        // Subscriptions are answered by pushes, which pass by themselves.
        let is_pushed = first_words(&frame).first().is_some_and(|word| word.contains("SUBSCRIBE"));
        {
            let mut down = lock(down);
            down.listens |= is_pushed;
            if !is_pushed || times == 0 {
                down.plays.extend(plays);
            }
            down.say()?;
        }
        for _ in 0..times {
            server.write_all(&frame)?;
        }
    }
}

fn planned(shared: &Shared, frame: &[u8]) -> Option<Fault> {
    let words = first_words(frame);
    let mut plans = lock(&shared.plans);
    let at = plans.iter().position(|plan| words.starts_with(&plan.words))?;
    let plan = &mut plans[at];
    if plan.skip > 0 {
        plan.skip -= 1;
        return None;
    }
    let fault = plan.fault.clone();
    plan.times -= 1;
    if plan.times == 0 {
        plans.remove(at);
    }
    Some(fault)
}

/// Passes answers on.
fn relay(server: TcpStream, down: &Mutex<Down>) -> io::Result<()> {
    let mut reader = BufReader::new(server);
    loop {
        let answer = frame(&mut reader)?;
        let is_push = answer.first() == Some(&b'>');
        let mut locked = lock(down);
        let play =
            if is_push { Play::Pass } else { locked.plays.pop_front().unwrap_or(Play::Pass) };
        match play {
            _ if locked.silent => {}
            Play::Pass => locked.client.write_all(&answer)?,
            Play::Swallow | Play::Say(_) => {}
            Play::Reset => return Ok(()),
            Play::Silence => locked.silent = true,
            Play::Half => return locked.client.write_all(&answer[..answer.len() / 2]),
            Play::Late(by) => {
                // Holding the lock holds back what is behind it too.
                std::thread::sleep(by);
                locked.client.write_all(&answer)?;
            }
        }
        locked.say()?;
    }
}

/// One call or answer, as its bytes.
fn frame(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut wanted = 1_u64;
    while wanted > 0 {
        let start = bytes.len();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned();
        let count = line.get(1..).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        wanted -= 1;
        match line.as_bytes().first() {
            Some(b'$' | b'=' | b'!') if count != u64::MAX => {
                reader.by_ref().take(count + 2).read_to_end(&mut bytes)?;
            }
            Some(b'*' | b'~' | b'>') if count != u64::MAX => wanted += count,
            Some(b'%') => wanted += 2 * count,
            _ => {}
        }
    }
    Ok(bytes)
}

/// The first two words of a call, upper case.
fn first_words(frame: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(&frame[..frame.len().min(256)]).to_uppercase();
    text.split("\r\n").skip(2).step_by(2).take(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::{Conversation, Options, Redis};
    use crate::wait;

    #[test]
    fn each_fault_happens_where_it_was_planned_and_nowhere_else() {
        let redis = Redis::start(Options::default());
        let proxy = FaultProxy::start(redis.port());
        let open = || Conversation::open(proxy.port()).unwrap();

        let mut talk = open();
        proxy.plan(&["incr"], 1, 1, Fault::Refuse("BUSY wait".into()));
        assert_eq!(talk.ask(&["INCR", "a"]).unwrap().text(), "1");
        assert_eq!(talk.ask(&["INCR", "a"]).unwrap().text(), "BUSY wait");
        assert_eq!(talk.ask(&["INCR", "a"]).unwrap().text(), "2");

        proxy.plan(&["INCR"], 0, 1, Fault::Twice);
        assert_eq!(talk.ask(&["INCR", "a"]).unwrap().text(), "3");
        assert_eq!(talk.ask(&["GET", "a"]).unwrap().text(), "4");

        for (fault, carried_out) in
            [(Fault::ResetBefore, false), (Fault::ResetAfter, true), (Fault::Half, true)]
        {
            let before: i64 = redis.cli(&["GET", "a"]).parse().unwrap();
            proxy.plan(&["INCR"], 0, 1, fault.clone());
            assert!(open().ask(&["INCR", "a"]).is_err(), "{fault:?}");
            let after: i64 = redis.cli(&["GET", "a"]).parse().unwrap();
            assert_eq!(after - before, i64::from(carried_out), "{fault:?}");
        }
        assert_eq!(proxy.played(), 5);
    }

    #[test]
    fn what_is_over_is_not_kept() {
        let redis = Redis::start(Options::default());
        let proxy = FaultProxy::start(redis.port());
        for _ in 0..20 {
            let mut talk = Conversation::open(proxy.port()).unwrap();
            assert_eq!(talk.ask(&["PING"]).unwrap().text(), "PONG");
        }
        wait::until("all are closed", Duration::from_secs(5), || {
            lock(&proxy.shared.lines).is_empty()
        });
    }
}
