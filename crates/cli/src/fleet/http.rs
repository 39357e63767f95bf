//! The one question that a fleet asks over HTTP: whether a process answers.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::child::{Answer, Probe};

/// Bytes of the first line of an answer: `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

/// Which answer shows that a process does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Works {
    /// Success.
    Well,
    /// Any.
    AtAll,
}

/// Asks for `/healthz` at `address` as the host `authority`.
pub(crate) fn probe(address: SocketAddr, authority: &str, works: Works) -> Probe {
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    Box::new(move || {
        let head = head.clone();
        Box::pin(async move { ask(address, &head, works).await.unwrap_or(Answer::None) })
    })
}

async fn ask(address: SocketAddr, head: &str, works: Works) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status).await?;
    // Whatever it says, somebody answers.
    let well = works == Works::AtAll || status.ends_with(b" 200");
    Ok(if well { Answer::Ready } else { Answer::Busy })
}
