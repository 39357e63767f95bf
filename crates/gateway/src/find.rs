//! Where nginx, its modules and our library are on this machine.

use std::path::{Path, PathBuf};

/// The library's file.
pub const LIBRARY_FILE: &str = "libtasktonic_gateway.so";
/// The environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "TASKTONIC_GATEWAY_LIB";
/// Where an installed library is.
const LIBRARY_FOLDER: &str = "/usr/lib/tasktonic";
/// Where distributions keep modules of nginx.
const MODULE_FOLDERS: &[&str] =
    &["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules"];
/// Programs of administrators are not always on the path of others.
const PROGRAM_FOLDERS: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"];
/// The modules we load, in their order.
const MODULES: &[&str] = &["ndk_http_module.so", "ngx_http_lua_module.so"];

/// What the gateway is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The program.
    pub nginx: PathBuf,
    /// The folder of its modules.
    pub modules: PathBuf,
    /// [`LIBRARY_FILE`].
    pub library: PathBuf,
}

/// A part that is not there, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The program.
    #[error(
        "nginx is not installed; on Debian: apt-get install -y --no-install-recommends nginx libnginx-mod-http-lua"
    )]
    Nginx,
    /// Its Lua module.
    #[error(
        "nginx has no Lua module; on Debian: apt-get install -y --no-install-recommends libnginx-mod-http-lua"
    )]
    Lua,
    /// Our library, at a place that somebody named.
    #[error("{LIBRARY_VARIABLE} names {0}, which is not there; correct it or leave it away")]
    Named(PathBuf),
    /// Our library.
    #[error(
        "{LIBRARY_FILE} is neither beside this program nor in {LIBRARY_FOLDER}; build it with `cargo build -p tasktonic-auth-ffi`, or name it in {LIBRARY_VARIABLE}"
    )]
    Library,
}

impl Parts {
    /// The parts of this machine.
    ///
    /// # Errors
    /// The first that is missing; the text says how to get it.
    pub fn find() -> Result<Self, Missing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&path);
        let nginx = programs
            .chain(PROGRAM_FOLDERS.iter().map(PathBuf::from))
            .map(|folder| folder.join("nginx"))
            .find(|program| program.is_file())
            .ok_or(Missing::Nginx)?;
        let modules = MODULE_FOLDERS
            .iter()
            .map(PathBuf::from)
            .find(|folder| MODULES.iter().all(|module| folder.join(module).is_file()))
            .ok_or(Missing::Lua)?;
        Ok(Self { nginx, modules, library: library()? })
    }
}

/// The library: named, beside this program, or installed.
fn library() -> Result<PathBuf, Missing> {
    if let Some(named) = std::env::var_os(LIBRARY_VARIABLE).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(Missing::Named(named)) };
    }
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.parent().unwrap_or(Path::new("/"));
    // Cargo always builds it in `deps`, and not every time also links it beside the programs.
    [beside.join("deps"), beside.to_owned(), LIBRARY_FOLDER.into()]
        .into_iter()
        .map(|folder| folder.join(LIBRARY_FILE))
        .find(|file| file.is_file())
        .ok_or(Missing::Library)
}
