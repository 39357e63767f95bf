//! Signing in, staying signed in, signing out.

use std::sync::Arc;

use async_trait::async_trait;
use tasktonic_protocol::http::{LoginRequest, LogoutRequest, Me, RefreshRequest, Tokens};
use tokio::sync::Mutex;

use crate::ask::{Ask, Repeat};
use crate::{Client, Credentials, Result, Token};

type Renewed = Box<dyn Fn(&Tokens) + Send + Sync>;

impl Client {
    /// Signs in with the name and password of a built-in account.
    ///
    /// # Errors
    /// A problem `credentials_invalid`, or `too_many_requests` with the time to wait.
    pub async fn login(&self, username: &str, password: &str) -> Result<Tokens> {
        let body = LoginRequest { username: username.into(), password: password.into() };
        // Repeating it by itself could use up the attempts that an account has.
        let ask = Ask::post(&["api", "v1", "auth", "token"], Repeat::Never).bare();
        self.ask(ask.json(&body)?).await
    }

    /// Exchanges a refresh token for the next pair. Each can be used once.
    ///
    /// # Errors
    /// A problem if it was used before or is over: sign in again.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let body = RefreshRequest { refresh_token: Some(refresh_token.into()) };
        let ask = Ask::post(&["api", "v1", "auth", "refresh"], Repeat::Never).bare();
        self.ask(ask.json(&body)?).await
    }

    /// Ends a session: its refresh token is worth nothing from now on.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn logout(&self, refresh_token: &str) -> Result<()> {
        let body = LogoutRequest { refresh_token: Some(refresh_token.into()) };
        let ask = Ask::post(&["api", "v1", "auth", "logout"], Repeat::Always).bare();
        self.answer(&ask.json(&body)?, &mut false).await.map(drop)
    }

    /// Who the caller is.
    ///
    /// # Errors
    /// A problem if the token is not accepted.
    pub async fn me(&self) -> Result<Me> {
        self.ask(Ask::get(&["api", "v1", "me"])).await
    }

    /// Signs in, and answers with a client that stays signed in.
    ///
    /// # Errors
    /// As [`Client::login`].
    pub async fn signed_in(&self, username: &str, password: &str) -> Result<Self> {
        let tokens = self.login(username, password).await?;
        Ok(self.with_credentials(Arc::new(Session::new(self.clone(), tokens))))
    }
}

/// Credentials that refresh themselves.
pub struct Session {
    client: Client,
    tokens: Mutex<Tokens>,
    renewed: Option<Renewed>,
}

impl Session {
    /// A session that began with `tokens`; `client` reaches the server they came from.
    #[must_use]
    pub fn new(client: Client, tokens: Tokens) -> Self {
        Self { client, tokens: Mutex::new(tokens), renewed: None }
    }

    /// Calls `renewed` with every new pair, so that it can be kept: the former is worth nothing
    /// from then on.
    #[must_use]
    pub fn on_renewed(mut self, renewed: impl Fn(&Tokens) + Send + Sync + 'static) -> Self {
        self.renewed = Some(Box::new(renewed));
        self
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("client", &self.client).finish_non_exhaustive()
    }
}

#[async_trait]
impl Credentials for Session {
    async fn token(&self) -> Result<Option<Token>> {
        Ok(Some(Token::new(&self.tokens.lock().await.access_token)))
    }

    async fn renew(&self, refused: &Token) -> Result<bool> {
        // Held over the exchange: a second use of one refresh token would end the session.
        let mut tokens = self.tokens.lock().await;
        if Token::new(&tokens.access_token) != *refused {
            return Ok(true);
        }
        match self.client.refresh(&tokens.refresh_token).await {
            Ok(next) => {
                if let Some(renewed) = &self.renewed {
                    renewed(&next);
                }
                *tokens = next;
                Ok(true)
            }
            Err(error) if error.code().is_some_and(|code| code.status() == 401) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
