//! What is not a task, in one HASH per table: `version|value` under each key. Changes are made by
//! a script that compares first.

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Pipeline, Value, cmd};
use tasktonic_store::{Entry, Error, Expect, Registry, Result, Table};

use crate::keys;
use crate::open::text_of;
use crate::router::{Place, Promise, Router};
use crate::script::Script;

/// Records read by one command of a list.
const CHUNK: u32 = 500;

/// See the module.
#[derive(Debug)]
pub(crate) struct RedisRegistry {
    router: Router,
    promise: Promise,
}

impl RedisRegistry {
    /// One that keeps `promise` with every change.
    pub(crate) fn new(router: Router, promise: Promise) -> Self {
        Self { router, promise }
    }

    async fn change(&self, table: Table, args: [&str; 4], repeatable: bool) -> Result<String> {
        let names = [keys::table(table), keys::system_canary()];
        let args = args.map(|arg| Bytes::copy_from_slice(arg.as_bytes()));
        let reply = self
            .router
            .run_system(Script::Registry, &names, &args, repeatable, self.promise)
            .await?;
        match reply {
            Value::BulkString(_) => Ok(text_of(&reply)),
            _ => Err(Error::Unavailable("the registry gave an answer of no known form".into())),
        }
    }

    async fn ask(&self, command: &redis::Cmd) -> Result<Value> {
        let mut commands = Pipeline::new();
        commands.add_command(command.clone());
        let mut replies = self.router.commands(Place::System, &commands, true).await?;
        replies.pop().ok_or_else(|| Error::Unavailable("Redis gave no answer".into()))
    }
}

fn entry(key: String, stored: &Value) -> Result<Entry> {
    let text = match stored {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    let parts = text.and_then(|text| text.split_once('|'));
    let parsed = parts.and_then(|(version, value)| Some((version.parse().ok()?, value)));
    match parsed {
        Some((version, value)) => Ok(Entry { key, version, value: value.to_owned() }),
        None => Err(Error::Unavailable(format!("the record {key:?} of the registry is damaged"))),
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Entry>> {
        match self.ask(cmd("HGET").arg(keys::table(table)).arg(key)).await? {
            Value::Nil => Ok(None),
            stored => entry(key.to_owned(), &stored).map(Some),
        }
    }

    async fn list(&self, table: Table) -> Result<Vec<Entry>> {
        let mut found = std::collections::BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = cmd("HSCAN");
            scan.arg(keys::table(table)).arg(&cursor).arg("COUNT").arg(CHUNK);
            let reply = self.ask(&scan).await?;
            let Value::Array(parts) = reply else { break };
            let [next, rows] = &parts[..] else { break };
            let rows = crate::open::items_of(rows);
            for pair in rows.chunks_exact(2) {
                let entry = entry(text_of(&pair[0]), &pair[1])?;
                // A scan may meet a record twice; the later sight is the newer one.
                found.insert(entry.key.clone(), entry);
            }
            cursor = text_of(next);
            if cursor == "0" || cursor.is_empty() {
                break;
            }
        }
        Ok(found.into_values().collect())
    }

    async fn put(
        &self,
        table: Table,
        key: &str,
        value: String,
        expect: Expect,
    ) -> Result<Option<u64>> {
        let expected = match expect {
            Expect::Any => String::new(),
            Expect::Absent => "0".to_owned(),
            Expect::Version(version) => version.to_string(),
        };
        // Sent twice, a comparison would find its own first change and say that it lost.
        let repeatable = expect == Expect::Any;
        let answer = self.change(table, ["put", key, &value, &expected], repeatable).await?;
        Ok(answer.parse().ok())
    }

    async fn delete(&self, table: Table, key: &str) -> Result<bool> {
        // Repeated, it may say that nothing was there; gone it is either way.
        Ok(self.change(table, ["delete", key, "", ""], true).await? == "1")
    }
}
