//! A few words with a Redis of ours while it starts: the protocol's inline form is enough to ask
//! whether it is there and to form a cluster. What tasks are is no business of this module.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// The longest answer that is read; the longest asked for is a description of some kilobytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Asks the Redis on `port` of this machine. The password is one of our own making, hexadecimal.
///
/// # Errors
/// It does not answer, or refuses: the error holds its words.
pub(crate) async fn ask(port: u16, password: &str, command: &str) -> io::Result<String> {
    let asking = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut stream = BufReader::new(stream);
        stream.write_all(format!("AUTH {password}\r\n{command}\r\n").as_bytes()).await?;
        answer(&mut stream).await?;
        answer(&mut stream).await
    };
    tokio::time::timeout(ANSWER_WAIT, asking)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.take(ANSWER_BYTES_MAX as u64).read_line(&mut line).await?;
    let line = line.trim_end();
    let (Some(kind), rest) = (line.chars().next(), line.get(1..).unwrap_or_default()) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    match kind {
        '+' | ':' => Ok(rest.to_owned()),
        '$' => {
            let length = rest.parse().ok().filter(|length| *length <= ANSWER_BYTES_MAX);
            let length = length.ok_or(io::ErrorKind::InvalidData)?;
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes).await?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        '-' => Err(io::Error::other(rest.to_owned())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The value of `name:value` in an answer of lines.
pub(crate) fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Of a master's answer about replication: the replicas that are up to date, and all of them.
pub(crate) fn replicas(answer: &str) -> Option<(usize, usize)> {
    let all = field(answer, "connected_slaves")?.trim().parse().ok()?;
    Some((answer.lines().filter(|line| line.contains(",state=online,")).count(), all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "# Cluster\r\ncluster_state_old:bad\r\ncluster_state:ok\r\n";
        assert_eq!(field(text, "cluster_state"), Some("ok"));
        assert_eq!(field(text, "state"), None);
    }

    #[test]
    fn a_replica_counts_once_it_is_online() {
        let one = |state: &str| {
            format!(
                "role:master\r\nconnected_slaves:1\r\nslave0:ip=::1,port=1,state={state},lag=0\r\n"
            )
        };
        assert_eq!(replicas(&one("wait_bgsave")), Some((0, 1)));
        assert_eq!(replicas(&one("online")), Some((1, 1)));
        assert_eq!(replicas("role:slave"), None);
    }
}
