//! The sockets: `/ws`, by which pages see what becomes of their user's tasks. It knows the store's
//! events and nothing of how tasks are worked off.

mod convert;
mod feed;
mod handshake;
mod outbox;
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use tasktonic_protocol::frames::SUBPROTOCOL;
use tasktonic_protocol::problem::Code;

use crate::App;
use crate::api::access::{Need, check};
use crate::door::Caller;
use crate::problem::Refusal;
use crate::serve::Place;
pub(crate) use convert::counts;
pub(crate) use feed::Hub;
use handshake::Handshake;

/// Bytes of one message of a client.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one message to the echo.
#[cfg(feature = "test-hooks")]
const ECHO_BYTES_MAX: usize = 16 * 1024 * 1024;
/// When a user with too many sockets may try again, in seconds.
const TOO_MANY_RETRY_S: u64 = 10;

/// `/ws`, and in test builds `/ws/echo`.
pub(crate) fn routes() -> Router<Arc<App>> {
    let router = Router::new().route("/ws", any(open));
    #[cfg(feature = "test-hooks")]
    let router = router.route("/ws/echo", any(echo));
    router
}

async fn open(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut request: Request,
) -> Result<Response, Refusal> {
    // A socket shows what `GET /api/v1/tasks` shows, and asks for the same right.
    check(&caller, Need::ReadTasks)?;
    let Caller(claims) = caller;
    let place = request.extensions_mut().remove::<Place>();
    let handshake = Handshake::read(&mut request, Some(SUBPROTOCOL))?;
    let Ok(seat) = app.live.join(&app.store, &claims.user, app.limits.sockets_per_user_max) else {
        let mut refusal =
            Refusal::new(Code::TooManyRequests, "Close some of your open pages, then try again.");
        refusal.retry_after_s = Some(TOO_MANY_RETRY_S);
        return Err(refusal);
    };
    app.metrics.socket_opened();
    let (answer, socket) = handshake.accept(MESSAGE_BYTES_MAX);
    app.sockets.spawn({
        let (app, user, expires_s) = (app.clone(), claims.user.clone(), claims.expires_s);
        async move {
            if let Some(ws) = socket.await {
                socket::run(app, seat, user, expires_s, ws).await;
            }
            // A socket takes the place of the connection it was until its end.
            drop(place);
        }
    });
    Ok(answer.into_response())
}

/// Sends every message back unchanged, with the settings of `/ws`: for conformance suites.
#[cfg(feature = "test-hooks")]
async fn echo(State(app): State<Arc<App>>, mut request: Request) -> Result<Response, Refusal> {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let place = request.extensions_mut().remove::<Place>();
    let handshake = Handshake::read(&mut request, None)?;
    let (answer, socket) = handshake.accept(ECHO_BYTES_MAX);
    app.sockets.spawn(async move {
        let Some(mut ws) = socket.await else { return };
        let end = loop {
            match ws.next().await {
                None => break socket::End::Gone,
                Some(Err(error)) => break socket::end_of(&error),
                Some(Ok(Message::Close(_))) => break socket::End::Closed,
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    if ws.send(message).await.is_err() {
                        break socket::End::Gone;
                    }
                }
                Some(Ok(_)) => {}
            }
        };
        socket::finish(&mut ws, &end).await;
        drop(place);
    });
    Ok(answer.into_response())
}
