//! Which part of the product a path belongs to: an exact table.

/// A part of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/healthz`, `/readyz`, `/metrics`, `/.well-known/jwks.json`, `/openapi.json`, and the pages
    /// about errors below `/docs/errors`: anybody.
    /// Whoever serves `/metrics` answers it to loopback peers only.
    Public,
    /// `/api/v1/auth/…`: no token, and the only place that is shown the refresh cookie.
    Auth,
    /// `/api/…`.
    Api,
    /// `/ws`.
    Socket,
    /// `/ws/echo`, in test builds.
    EchoSocket,
    /// Files of the pages that are the same for everybody.
    Static,
    /// `/login`: the one page without a token.
    Login,
    /// Every other page.
    Page,
}

impl Route {
    /// The route of a path that is spelled in one way only. Nothing for what never exists.
    pub(super) fn of(path: &str, test_hooks: bool) -> Option<Self> {
        Some(match path {
            "/healthz"
            | "/readyz"
            | "/metrics"
            | "/.well-known/jwks.json"
            | "/openapi.json"
            | "/docs/errors" => Self::Public,
            "/ws" => Self::Socket,
            "/ws/echo" if test_hooks => Self::EchoSocket,
            "/login" => Self::Login,
            "/favicon.ico" | "/icon.svg" | "/icon.png" | "/apple-icon.png" | "/robots.txt" => {
                Self::Static
            }
            "/api" => Self::Api,
            _ if path.starts_with("/api/v1/auth/") => Self::Auth,
            _ if path.starts_with("/api/") => Self::Api,
            // A refusal names its page; whoever was refused may have no token to read it with.
            _ if path.starts_with("/docs/errors/") => Self::Public,
            _ if path.starts_with("/_next/static/") => Self::Static,
            // A socket path that fell to the pages would be answered with a sign-in.
            _ if path.starts_with("/ws/") => return None,
            _ => Self::Page,
        })
    }

    /// Whether it is served without a token.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Public | Self::Auth | Self::EchoSocket | Self::Static | Self::Login => true,
            Self::Api | Self::Socket | Self::Page => false,
        }
    }

    /// Whether it is a WebSocket.
    #[must_use]
    pub const fn is_socket(self) -> bool {
        matches!(self, Self::Socket | Self::EchoSocket)
    }

    /// Whether Next.js answers it.
    #[must_use]
    pub const fn is_page(self) -> bool {
        matches!(self, Self::Login | Self::Page)
    }
}
