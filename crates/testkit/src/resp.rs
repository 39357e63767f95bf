//! One blocking conversation with a Redis server, for tests: no pool, no retry, no cluster. It
//! knows the protocol and nothing of what is said in it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A word such as `OK`.
    Word(String),
    /// A refusal, with its code in front.
    Error(String),
    /// A number.
    Number(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing there.
    Nothing,
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// The answer as one text: lists are joined by line ends, refusals are `ERR …` as they came.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Word(text) | Self::Error(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Nothing => String::new(),
            Self::List(items) => items.iter().map(Self::text).collect::<Vec<_>>().join("\n"),
        }
    }

    /// The items of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Whether it is a refusal.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

/// A connection to one server.
#[derive(Debug)]
pub struct Conversation {
    stream: BufReader<TcpStream>,
}

impl Conversation {
    /// Connects to a server of the loopback interface.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn open(port: u16) -> io::Result<Self> {
        Self::open_at(Ipv4Addr::LOCALHOST, port)
    }

    /// As [`Conversation::open`], of another address.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn open_at(address: Ipv4Addr, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((address, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Says `words` and waits for the answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer takes longer than 20 s.
    pub fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Reply> {
        let mut said = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            said.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            said.extend_from_slice(word);
            said.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&said)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        // A line without its end is the half of one.
        if !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "not the Redis protocol");
        let line = line.trim_end_matches(['\r', '\n']);
        let (sort, rest) = line.split_at_checked(1).ok_or_else(strange)?;
        let number = || rest.parse::<i64>().map_err(|_| strange());
        Ok(match sort {
            "+" => Reply::Word(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Reply::Nothing,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Reply::Bytes(bytes)
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Reply::Nothing,
                Ok(count) => {
                    Reply::List((0..count).map(|_| self.reply()).collect::<io::Result<_>>()?)
                }
            },
            _ => return Err(strange()),
        })
    }
}
