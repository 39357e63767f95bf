//! What must not be there before a store is read in. Never looks at what is read in.

use redis::{Cmd, cmd};
use tasktonic_store::{Result, Table};

use super::{CHUNK, Import};
use crate::keys;
use crate::open::{items_of, text_of};
use crate::router::Place;

impl Import {
    /// Whether there is anything that somebody has put in.
    pub(super) async fn is_empty(&self) -> Result<bool> {
        for p in self.partitions() {
            let keys = self.store.keys(p)?;
            for key in [keys.users(), keys.leases(), keys.due()] {
                if text_of(&self.ask(Place::Partition(p), cmd("EXISTS").arg(key).clone()).await?)
                    != "0"
                {
                    return Ok(false);
                }
            }
        }
        for table in Table::ALL {
            let key = keys::table(*table);
            if text_of(&self.ask(Place::System, cmd("EXISTS").arg(key).clone()).await?) != "0" {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what a former import has written.
    pub(super) async fn wipe(&self) -> Result<()> {
        for p in self.partitions() {
            let keys = self.store.keys(p)?;
            let pattern = format!("{}*", super::super::glob(keys.base()));
            let (place, mut cursor) = (Place::Partition(p), "0".to_owned());
            loop {
                let mut scan = cmd("SCAN");
                scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(CHUNK);
                let reply = self.ask(place, scan).await?;
                let parts = items_of(&reply);
                let names = parts.get(1).map(items_of).unwrap_or_default().iter().map(text_of);
                let gone: Vec<Cmd> = names
                    .filter(|name| *name != keys.meta())
                    .map(|name| cmd("UNLINK").arg(name).clone())
                    .collect();
                self.send(place, &gone).await?;
                cursor = parts.first().map(text_of).unwrap_or_default();
                if cursor == "0" || cursor.is_empty() {
                    break;
                }
            }
            let reply = self.ask(place, cmd("HKEYS").arg(keys.meta()).clone()).await?;
            let fields = items_of(&reply).iter().map(text_of).filter(|field| {
                let whole = "keeps ex sk pr sc paused queues queues_version closed fl ld th";
                whole.split(' ').any(|one| one == &**field)
                    || field.starts_with("x:")
                    || field.starts_with("q:")
                    || field.starts_with("t:")
            });
            let gone: Vec<Cmd> =
                fields.map(|field| cmd("HDEL").arg(keys.meta()).arg(field).clone()).collect();
            self.send(place, &gone).await?;
        }
        let tables: Vec<Cmd> =
            Table::ALL.iter().map(|table| cmd("DEL").arg(keys::table(*table)).clone()).collect();
        self.send(Place::System, &tables).await
    }
}
