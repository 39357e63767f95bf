//! Schedules: tasks that the clock makes.

use tasktonic_core::Name;
use tasktonic_protocol::http::{
    Preview, PreviewRequest, Schedule, ScheduleList, ScheduleRequest, ScheduleSet, ScheduleSetReply,
};
use tasktonic_protocol::task::Task;

use crate::ask::{Ask, Repeat};
use crate::{Client, Error, Result};

/// Refuses what cannot be the name of a schedule before it becomes part of an address.
fn check(name: &str) -> Result<&str> {
    match name.parse::<Name>() {
        Ok(known) if known.is_plain() => Ok(name),
        _ => {
            let text = "a schedule is named by 1 to 64 characters of A-Z a-z 0-9 _ . -";
            Err(Error::Invalid(text.to_owned()))
        }
    }
}

impl Client {
    /// The caller's schedules, by name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn schedules(&self) -> Result<Vec<Schedule>> {
        let list: ScheduleList = self.ask(Ask::get(&["api", "v1", "schedules"])).await?;
        Ok(list.schedules)
    }

    /// One of them.
    ///
    /// # Errors
    /// A problem `not_found` if the caller has none of this name.
    pub async fn schedule(&self, name: &str) -> Result<Schedule> {
        self.ask(Ask::get(&["api", "v1", "schedules", check(name)?])).await
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// Problems `schedule_exists`, `schedule_invalid`, `kind_unknown`.
    pub async fn add_schedule(&self, asked: &ScheduleRequest) -> Result<Schedule> {
        let ask = Ask::post(&["api", "v1", "schedules"], Repeat::Never).json(asked)?;
        self.ask(ask).await
    }

    /// Changes a schedule whole, or makes it.
    ///
    /// # Errors
    /// As [`Client::add_schedule`]; `changed_meanwhile` if `asked.version` is no longer its own.
    pub async fn put_schedule(&self, name: &str, asked: &ScheduleRequest) -> Result<Schedule> {
        self.ask(Ask::put(&["api", "v1", "schedules", check(name)?]).json(asked)?).await
    }

    /// Removes a schedule. Tasks that it made stay.
    ///
    /// # Errors
    /// A problem `not_found` if there is none of this name.
    pub async fn remove_schedule(&self, name: &str) -> Result<()> {
        let ask = Ask::delete(&["api", "v1", "schedules", check(name)?], Repeat::Never);
        self.answer(&ask, &mut false).await.map(drop)
    }

    /// Lets a schedule rest, or ends its rest.
    ///
    /// # Errors
    /// As [`Client::schedule`].
    pub async fn rest_schedule(&self, name: &str, rests: bool) -> Result<Schedule> {
        let verb = if rests { "pause" } else { "resume" };
        let path = ["api", "v1", "schedules", check(name)?, verb];
        self.ask(Ask::post(&path, Repeat::Always)).await
    }

    /// Submits the task of a schedule at once.
    ///
    /// # Errors
    /// As [`Client::schedule`], and those of a submission.
    pub async fn run_schedule(&self, name: &str) -> Result<Task> {
        let path = ["api", "v1", "schedules", check(name)?, "run"];
        self.ask(Ask::post(&path, Repeat::Never)).await
    }

    /// The next `count` ticks of a schedule.
    ///
    /// # Errors
    /// As [`Client::schedule`].
    pub async fn next_of_schedule(&self, name: &str, count: usize) -> Result<Preview> {
        let ask = Ask::get(&["api", "v1", "schedules", check(name)?, "next"]);
        self.ask(ask.query("count", Some(count.to_string()))).await
    }

    /// When a schedule would come; nothing is kept.
    ///
    /// # Errors
    /// A problem `schedule_invalid` that says what is wrong with it.
    pub async fn preview_schedule(&self, asked: &PreviewRequest) -> Result<Preview> {
        let path = ["api", "v1", "schedule-preview"];
        self.ask(Ask::post(&path, Repeat::Always).json(asked)?).await
    }

    /// Brings a set of schedules about: those of it that `asked` leaves out are removed.
    ///
    /// # Errors
    /// As [`Client::add_schedule`]; nothing is done then.
    pub async fn declare_schedules(&self, asked: &ScheduleSet) -> Result<ScheduleSetReply> {
        self.ask(Ask::put(&["api", "v1", "schedules"]).json(asked)?).await
    }
}
