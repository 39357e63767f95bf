//! `tasktonic kill-points`: the names that a build for tests knows.

use anyhow::{Result, bail};
use tasktonic_store::KillPoint;

pub(crate) fn list() -> Result<u8> {
    if !cfg!(feature = "test-hooks") {
        bail!("this build has no kill points; build it with `--features test-hooks`");
    }
    for point in KillPoint::ALL {
        println!("{}", point.name());
    }
    Ok(crate::DONE)
}
