//! Replies read as texts, lists and `INFO`.

use std::collections::HashMap;

use redis::Value;

/// A reply as text; empty when it is none.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Okay => "OK".to_owned(),
        _ => String::new(),
    }
}

/// The items of a reply that is a list; none of anything else.
pub(crate) fn items_of(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}

/// An answer to `INFO`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Info(HashMap<String, String>);

impl Info {
    /// Reads it.
    pub(crate) fn of(reply: &Value) -> Self {
        let text = text_of(reply);
        let lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A field; empty when it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }

    /// Replicas that read along now.
    pub(crate) fn replicas_online(&self) -> usize {
        let is_replica = |name: &str| {
            let number = name.strip_prefix("slave").unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let online = |value: &str| value.contains("state=online");
        self.0.iter().filter(|(name, value)| is_replica(name) && online(value)).count()
    }

    /// Name and version, and whether it is new enough: Redis 7.0 or Valkey 7.2 at least. Valkey
    /// says `redis_version:7.2.4` for old clients, and its own version beside it.
    pub(crate) fn version(&self) -> (String, bool) {
        let (name, version, least) = match self.get("valkey_version") {
            "" => ("Redis", self.get("redis_version"), (7, 0)),
            version => ("Valkey", version, (7, 2)),
        };
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        (format!("{name} {version}"), found >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_told_by_their_own_version() {
        for (info, fits) in [
            ("redis_version:7.0.0", true),
            ("redis_version:6.2.14", false),
            ("redis_version:10.0.1", true),
            ("redis_version:7.2.4\r\nvalkey_version:9.0.1", true),
            ("redis_version:7.2.4\r\nvalkey_version:7.1.0", false),
            ("nothing:known", false),
        ] {
            let (server, new_enough) = Info::of(&Value::SimpleString(info.to_owned())).version();
            assert_eq!(new_enough, fits, "{server}");
        }
    }

    #[test]
    fn only_replicas_that_read_along_count() {
        let text = "role:master\r\nslave0:ip=1,state=online\r\nslave1:ip=2,state=wait_bgsave\r\n\
                    slave_expires_tracked_keys:state=online\r\n";
        assert_eq!(Info::of(&Value::SimpleString(text.to_owned())).replicas_online(), 1);
    }
}
