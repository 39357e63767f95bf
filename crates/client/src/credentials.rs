//! Where the token comes from. A token never shows itself in Debug output, logs or errors.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{Error, Result};

/// Bytes of a token; the server reads no longer ones.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// An access token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token with this text; space around it is not part of it.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The text, for where it is really needed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Refuses what cannot be sent, without repeating it.
    pub(crate) fn check(self) -> Result<Self> {
        let fits = !self.0.is_empty()
            && self.0.len() <= TOKEN_BYTES_MAX
            && self.0.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(self)
        } else {
            Err(Error::Token(
                "this is no access token: it is empty, too long, or has spaces or line breaks \
                 inside; take the whole text that your issuer or `tasktonic token mint` gave"
                    .into(),
            ))
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where a client takes its token from.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// The token to send with the next request; `None` sends none.
    ///
    /// # Errors
    /// [`Error::Token`], if there should be one and it cannot be had.
    async fn token(&self) -> Result<Option<Token>>;

    /// The server refused `refused`. Whether it is worth asking again with
    /// [`Credentials::token`].
    ///
    /// # Errors
    /// As for token.
    async fn renew(&self, refused: &Token) -> Result<bool>;
}

/// One token for as long as it is good.
#[async_trait]
impl Credentials for Token {
    async fn token(&self) -> Result<Option<Token>> {
        Ok(Some(self.clone()))
    }

    async fn renew(&self, _refused: &Token) -> Result<bool> {
        Ok(false)
    }
}

/// No token: only what everybody may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nobody;

#[async_trait]
impl Credentials for Nobody {
    async fn token(&self) -> Result<Option<Token>> {
        Ok(None)
    }

    async fn renew(&self, _refused: &Token) -> Result<bool> {
        Ok(false)
    }
}

/// A token in a file that somebody else keeps fresh: it is read anew whenever the server refuses
/// the last one.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    last: Mutex<Option<Token>>,
}

impl TokenFile {
    /// The token in the file at `path`.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_path_buf(), last: Mutex::new(None) }
    }

    async fn read(&self) -> Result<Token> {
        let path = self.path.display();
        let text = tokio::fs::read_to_string(&self.path).await.map_err(|error| {
            Error::Token(format!("the token file {path} cannot be read: {error}"))
        })?;
        Token::new(text).check().map_err(|error| Error::Token(format!("{path}: {error}")))
    }
}

#[async_trait]
impl Credentials for TokenFile {
    async fn token(&self) -> Result<Option<Token>> {
        if let Some(token) = self.last.lock().clone() {
            return Ok(Some(token));
        }
        let token = self.read().await?;
        *self.last.lock() = Some(token.clone());
        Ok(Some(token))
    }

    async fn renew(&self, refused: &Token) -> Result<bool> {
        let token = self.read().await?;
        let is_new = token != *refused;
        *self.last.lock() = Some(token);
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_file_is_read_again_when_its_token_is_refused() {
        let scratch = tasktonic_testkit::Scratch::new();
        let path = scratch.join("token");
        std::fs::write(&path, "first\n").unwrap();
        let file = TokenFile::new(&path);
        let first = file.token().await.unwrap().unwrap();
        assert_eq!(first.reveal(), "first");
        assert!(!file.renew(&first).await.unwrap(), "nothing new to try");
        std::fs::write(&path, "second").unwrap();
        assert!(file.renew(&first).await.unwrap());
        assert_eq!(file.token().await.unwrap().unwrap().reveal(), "second");
    }

    #[tokio::test]
    async fn a_missing_or_broken_token_file_names_the_file_and_not_its_content() {
        let scratch = tasktonic_testkit::Scratch::new();
        let path = scratch.join("token");
        let error = TokenFile::new(&path).token().await.unwrap_err().to_string();
        assert!(error.contains("token"), "{error}");
        std::fs::write(&path, "secret with spaces").unwrap();
        let error = TokenFile::new(&path).token().await.unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_token_does_not_show_itself() {
        assert!(!format!("{:?}", Token::new("secret")).contains("secret"));
    }
}
