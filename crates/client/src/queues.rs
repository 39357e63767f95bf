//! Queues, and what is set of them and of users.

use tasktonic_protocol::http::{
    Pause, PauseRequest, Queue, QueueChange, QueueDetail, QueueList, QueueUser, QueueUserChange,
};

use crate::ask::{Ask, Repeat};
use crate::{Client, Result};

impl Client {
    /// Queues, and users whose work is paused; for operators.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn queues(&self) -> Result<QueueList> {
        self.ask(Ask::get(&["api", "v1", "queues"])).await
    }

    /// The queue that tasks of a kind wait in, of those there are; for operators.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn queue_of_kind(&self, kind: &str) -> Result<Option<Queue>> {
        let queues = self.queues().await?.queues;
        Ok(queues.into_iter().find(|queue| queue.kinds.iter().any(|known| known == kind)))
    }

    /// One queue, with the users of whom anything is set there; for operators.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn queue(&self, queue: &str) -> Result<QueueDetail> {
        self.ask(Ask::get(&["api", "v1", "queues", queue])).await
    }

    /// Sets what holds for everybody in a queue, and answers when it holds everywhere.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn set_queue(&self, queue: &str, change: &QueueChange) -> Result<QueueDetail> {
        let path = ["api", "v1", "queues", queue, "settings"];
        self.ask(Ask::post(&path, Repeat::Always).json(change)?).await
    }

    /// Sets what holds for one user in a queue.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn set_queue_user(&self, queue: &str, change: &QueueUserChange) -> Result<QueueUser> {
        let path = ["api", "v1", "queues", queue, "users"];
        self.ask(Ask::post(&path, Repeat::Always).json(change)?).await
    }

    /// Whether all work of a user is paused, and by whom; your own without one.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn paused(&self, user: Option<&str>) -> Result<Pause> {
        self.ask(match user {
            Some(user) => Ask::get(&["api", "v1", "users", user, "pause"]),
            None => Ask::get(&["api", "v1", "me", "pause"]),
        })
        .await
    }

    /// Stops or goes on handing out tasks of a user; your own without one. What runs goes on.
    ///
    /// # Errors
    /// See [`Error`](crate::Error).
    pub async fn pause(&self, user: Option<&str>, paused: bool) -> Result<Pause> {
        let ask = match user {
            Some(user) => Ask::post(&["api", "v1", "users", user, "pause"], Repeat::Always),
            None => Ask::post(&["api", "v1", "me", "pause"], Repeat::Always),
        };
        self.ask(ask.json(&PauseRequest { paused })?).await
    }
}
