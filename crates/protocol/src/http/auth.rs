//! Signing in and out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/auth/token`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account's name.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest").field("username", &self.username).finish_non_exhaustive()
    }
}

/// `POST /api/v1/auth/refresh`, where the refresh token is not in a cookie.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

impl std::fmt::Debug for RefreshRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshRequest").finish_non_exhaustive()
    }
}

/// `POST /api/v1/auth/logout`, of the same form.
pub type LogoutRequest = RefreshRequest;

/// The answer to a login and to a refresh.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// Sent with every request as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: String,
    /// Life of the access token, seconds.
    pub expires_in: u64,
    /// Exchanged once for the next pair.
    pub refresh_token: String,
    /// Life of the refresh token, seconds.
    pub refresh_expires_in: u64,
    /// Who signed in.
    pub user: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("user", &self.user).finish_non_exhaustive()
    }
}

/// `GET /api/v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The caller's id.
    pub user: String,
    /// `user`, `operator`, `admin`, `worker` or `service`.
    #[schema(example = "user")]
    pub role: String,
    /// What people call them.
    pub name: Option<String>,
    /// Who vouches for them.
    pub issuer: String,
    /// When the token ends; RFC 3339.
    pub expires_at: String,
    /// What the token allows; empty means all that the role does.
    pub scopes: Vec<String>,
}
