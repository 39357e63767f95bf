//! The space that a file takes while it comes in: counted in this process alone, or together with
//! others. Given back unless the file can be seen in the end.

use std::sync::Arc;

use tasktonic_core::UserId;
use tokio::runtime::Handle;

use crate::ledger::Ledger;
use crate::space::Reservation;
use crate::{Error, FileId, Files};

/// See the module.
pub(crate) enum Taken {
    /// Nobody else keeps files here.
    Alone(Reservation),
    /// Others do.
    Shared(Announced),
}

/// A file that is announced in the ledger.
pub(crate) struct Announced {
    files: Files,
    ledger: Arc<dyn Ledger>,
    user: UserId,
    file: FileId,
    /// Bytes that have come.
    size: u64,
    /// Bytes that may.
    room: u64,
    over: bool,
}

impl Files {
    /// Room for one more file of the user.
    pub(crate) async fn take(&self, user: &UserId, file: FileId) -> Result<Taken, Error> {
        let Some(ledger) = self.ledger() else {
            return Ok(Taken::Alone(self.space(user).await?.reserve(self.limits())?));
        };
        self.announce_coming(&**ledger, user, file).await?;
        let (files, ledger, user) = (self.clone(), ledger.clone(), user.clone());
        Ok(Taken::Shared(Announced { files, ledger, user, file, size: 0, room: 0, over: false }))
    }
}

impl Taken {
    /// Takes `bytes` more.
    pub(crate) async fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        match self {
            Self::Alone(reservation) => reservation.grow(bytes),
            Self::Shared(announced) => announced.grow(bytes).await,
        }
    }

    /// The file can be seen: the space stays taken.
    pub(crate) async fn keep(self) {
        match self {
            Self::Alone(reservation) => reservation.keep(),
            Self::Shared(mut announced) => announced.keep().await,
        }
    }
}

impl Announced {
    async fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let size = self.size.saturating_add(bytes);
        if size > self.room {
            let files = self.files.clone();
            self.room = files.announce_size(&*self.ledger, &self.user, self.file, size).await?;
        }
        self.size = size;
        Ok(())
    }

    async fn keep(&mut self) {
        self.over = true;
        let size = Some(self.size);
        // If it cannot be noted now, the announcement runs out, and all is counted anew.
        let _ = self.files.announce_came(&*self.ledger, &self.user, self.file, size).await;
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let Some(runtime) = Handle::try_current().ok().filter(|_| !self.over) else { return };
        let (files, ledger) = (self.files.clone(), self.ledger.clone());
        let (user, file) = (self.user.clone(), self.file);
        runtime.spawn(async move {
            // As above.
            let _ = files.announce_came(&*ledger, &user, file, None).await;
        });
    }
}
