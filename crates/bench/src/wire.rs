//! HTTP/1.1 over one kept connection with as little of its own as can be, so that what is measured
//! is the server: a request is one write, an answer a head and as many bytes as it says.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    host: String,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    /// Connects to `authority`, such as `127.0.0.1:8080`.
    pub(crate) async fn open(authority: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority)
            .await
            .with_context(|| format!("connecting to {authority}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: authority.to_owned(), read: Vec::new() })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        token: Option<&str>,
        body: &str,
    ) -> Result<Answer> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if let Some(token) = token {
            request.push_str("Authorization: Bearer ");
            request.push_str(token);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            let head =
                format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            request.push_str(&head);
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer> {
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            anyhow::ensure!(self.read.len() < HEAD_BYTES_MAX, "the head of an answer is too long");
            self.more().await?;
        };
        let (status, length) = parse(&self.read[..head])?;
        while self.read.len() < head + length {
            self.more().await?;
        }
        let body = self.read[head..head + length].to_vec();
        self.read.drain(..head + length);
        Ok(Answer { status, body })
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

/// Status and length of the body.
fn parse(head: &[u8]) -> Result<(u16, usize)> {
    let head = std::str::from_utf8(head).context("the head of an answer")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .context("the status of an answer")?;
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("an answer in chunks, which the bench does not read");
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().context("the length of an answer")?);
        }
    }
    let is_empty = matches!(status, 204 | 304);
    match length {
        Some(length) => Ok((status, length)),
        None if is_empty => Ok((status, 0)),
        None => bail!("an answer without a length"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn answers_are_read_one_by_one_however_they_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = vec![0; 4096];
            let n = stream.read(&mut first).await.unwrap();
            for part in ["HTTP/1.1 202 Accep", "ted\r\nContent-Le", "ngth: 5\r\n\r\nhel", "lo"] {
                stream.write_all(part.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            let _ = stream.read(&mut vec![0; 4096]).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            String::from_utf8(first[..n].to_vec()).unwrap()
        });
        let mut wire = Wire::open(&authority).await.unwrap();
        let answer = wire.ask("POST", "/a?b=c", Some("t"), "{}").await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (202, &b"hello"[..]));
        assert_eq!(wire.ask("GET", "/", None, "").await.unwrap().status, 204);
        let sent = server.await.unwrap();
        assert_eq!(
            sent,
            format!(
                "POST /a?b=c HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            )
        );
    }

    #[test]
    fn what_cannot_be_measured_fairly_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").unwrap(), (200, 7));
    }
}
