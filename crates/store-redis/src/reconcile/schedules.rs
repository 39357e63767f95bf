//! What a pass finds among schedules: the list by their next tick, and the time of the first.

use redis::{Pipeline, cmd};
use tasktonic_core::UserId;
use tasktonic_core::schedule::Schedule;
use tasktonic_store::Result;

use super::Reconciler;
use super::pass::Whole;
use super::read::Reader;
use super::suspect::Suspect;
use crate::open::{items_of, text_of};
use crate::wire::scheduled;

impl Reconciler {
    /// Every schedule that is listed is there, and the first time is announced.
    pub(super) async fn schedules(&self, reader: &Reader<'_>, whole: &mut Whole) -> Result<u64> {
        let mut asked = Pipeline::new();
        asked.add_command(cmd("HGET").arg(reader.keys.meta()).arg("sc").clone());
        let first = cmd("ZRANGE").arg(reader.keys.schedules()).arg(0).arg(0).clone();
        asked.add_command(first);
        asked.add_command(cmd("HEXISTS").arg(reader.keys.meta()).arg("search").clone());
        let replies = reader.ask(&asked).await?;
        let said = replies.first().map(text_of).unwrap_or_default();
        let listed = replies.get(1).map(items_of).is_some_and(|first| !first.is_empty());
        let searched = replies.get(2).map(text_of).as_deref() == Some("1");
        whole.has_schedules = listed || searched || !said.is_empty();
        if !listed {
            let stale = if said.is_empty() { Vec::new() } else { vec![Suspect::Marks] };
            return self.settle(reader, &stale).await;
        }
        let (mut cursor, mut repaired) = ("0".to_owned(), 0);
        let mut least = i64::MAX;
        loop {
            let (next, members) = reader.scan("ZSCAN", &reader.keys.schedules(), &cursor).await?;
            let mut suspects = Vec::new();
            for pair in members.chunks_exact(2) {
                let at_ms = pair[1].parse::<f64>().ok().map(|at| at as i64);
                match scheduled(&pair[0]).zip(at_ms) {
                    Some(((user, name), at_ms)) => {
                        least = least.min(at_ms);
                        whole.users.insert(user.clone());
                        whole.ticks.entry(user).or_default().insert(name, at_ms);
                    }
                    None => suspects.push(Suspect::Scheduling(pair[0].clone())),
                }
            }
            repaired += self.settle(reader, &suspects).await?;
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        if said != least.to_string() {
            repaired += self.settle(reader, &[Suspect::Marks]).await?;
        }
        Ok(repaired)
    }

    /// Schedules of a user that are not listed by their next tick, or listed and not there.
    pub(super) async fn unlisted(
        &self,
        reader: &Reader<'_>,
        whole: &mut Whole,
        user: &UserId,
    ) -> Result<Vec<Suspect>> {
        let (key, mut cursor) = (reader.keys.schedules_of(user), "0".to_owned());
        let mut ticks = whole.ticks.remove(user).unwrap_or_default();
        let mut suspects = Vec::new();
        loop {
            let (next, fields) = reader.scan("HSCAN", &key, &cursor).await?;
            for pair in fields.chunks_exact(2) {
                let Ok(name) = pair[0].parse::<tasktonic_core::Name>() else { continue };
                let listed = ticks.remove(&name);
                let kept = pair[1].parse::<Schedule>();
                if !kept.is_ok_and(|kept| kept.next_ms == listed) {
                    suspects.push(Suspect::Schedule(user.clone(), name));
                }
            }
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        suspects.extend(ticks.into_keys().map(|name| Suspect::Schedule(user.clone(), name)));
        Ok(suspects)
    }
}
