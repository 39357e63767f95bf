//! Erasing all that is kept of a user.

use tasktonic_protocol::http::Erasure;

use crate::ask::{Ask, Repeat};
use crate::{Client, Result};

impl Client {
    /// Begins to erase all that is kept of the caller, whose id is said once more. There is no way
    /// back.
    ///
    /// # Errors
    /// A problem `bad_request` if that is not the caller's id.
    pub async fn erase_own(&self, confirm: &str) -> Result<Erasure> {
        let ask = Ask::delete(&["api", "v1", "me", "data"], Repeat::Always);
        self.ask(ask.query("confirm", Some(confirm.to_owned()))).await
    }

    /// How far the last erasure of the caller's data is.
    ///
    /// # Errors
    /// A problem `not_found` if there never was one.
    pub async fn erasure_of_own(&self) -> Result<Erasure> {
        self.ask(Ask::get(&["api", "v1", "me", "data"])).await
    }

    /// Begins to erase all that is kept of a user, with `account` the built-in account too; for
    /// administrators.
    ///
    /// # Errors
    /// A problem `forbidden` for others.
    pub async fn erase_user(&self, user: &str, account: bool) -> Result<Erasure> {
        let ask = Ask::delete(&["api", "v1", "users", user, "data"], Repeat::Always)
            .query("confirm", Some(user.to_owned()))
            .query("account", account.then(|| "true".to_owned()));
        self.ask(ask).await
    }

    /// How far the last erasure of a user's data is; for administrators.
    ///
    /// # Errors
    /// A problem `not_found` if there never was one.
    pub async fn erasure_of_user(&self, user: &str) -> Result<Erasure> {
        self.ask(Ask::get(&["api", "v1", "users", user, "data"])).await
    }
}
