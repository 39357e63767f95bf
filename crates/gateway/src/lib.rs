//! nginx as the front door, set up: its configuration from named values, the folder it runs in,
//! and the commands that start, check and reload it. Never knows tokens, requests or stores; the
//! verdicts are in the library that nginx loads.

mod find;
mod nginx;
mod render;
mod values;

pub use find::{LIBRARY_FILE, LIBRARY_VARIABLE, Missing, Parts};
pub use nginx::Nginx;
pub use values::{Gateway, Guard, Invalid, Limits, Tls};

/// The template of `nginx.conf`, with its words in double braces.
pub const TEMPLATE: &str = include_str!("../../../gateway/nginx.conf.template");
/// The headers of answers that the gateway itself gives.
pub const ANSWER: &str = include_str!("../../../gateway/answer.conf");
/// All Lua there is.
pub const LUA: &str = include_str!("../../../gateway/lua/tasktonic/gateway.lua");
/// The functions of the library, as C and LuaJIT read them.
pub const HEADER: &str = include_str!("../../../gateway/tasktonic_gateway.h");
/// What people see while no server renders pages: the same as without a gateway.
const AWAY: &str = include_str!("../../server/src/pages/away.html");
