//! Whether the servers are set up for what is promised. Asked when a store opens, and ever again.

use redis::{Pipeline, Value, cmd};

use crate::open::{Class, Info, OpenError, items_of, text_of};
use crate::router::{Addr, Promise, Router};

/// What one master says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Which one, for people.
    pub(crate) server: String,
    /// Whether it writes a log to disk.
    pub(crate) appendonly: bool,
    /// When it syncs that log; absent where it may not be asked.
    pub(crate) appendfsync: Option<String>,
    /// What it does when its memory is full.
    pub(crate) memory_policy: String,
    /// Replicas that read along.
    pub(crate) replicas: usize,
    /// Bytes in use.
    pub(crate) used: u64,
    /// Bytes it may use; 0 without a limit.
    pub(crate) memory_max: u64,
}

/// The questions that [`standing`] reads the answers of; the second is of matter for
/// [`Class::Disk`] alone.
pub(crate) fn questions() -> Pipeline {
    let mut asked = Pipeline::new();
    asked.add_command(cmd("INFO"));
    asked.add_command(cmd("CONFIG").arg("GET").arg("appendfsync").clone());
    asked
}

/// What a master's answers say.
pub(crate) fn standing(addr: &Addr, replies: &[Value]) -> Standing {
    let info = replies.first().map(Info::of).unwrap_or_default();
    let fsync = replies.get(1).map(items_or_pairs).unwrap_or_default();
    Standing {
        server: addr.to_string(),
        appendonly: info.get("aof_enabled") == "1",
        appendfsync: fsync.get(1).cloned(),
        memory_policy: info.get("maxmemory_policy").to_owned(),
        replicas: info.replicas_online(),
        used: info.number("used_memory").unwrap_or(0),
        memory_max: info.number("maxmemory").unwrap_or(0),
    }
}

fn items_or_pairs(value: &Value) -> Vec<String> {
    match value {
        Value::Map(pairs) => pairs.iter().flat_map(|(a, b)| [text_of(a), text_of(b)]).collect(),
        _ => items_of(value).iter().map(text_of).collect(),
    }
}

/// Asks every master; those that did not answer are told apart.
pub(crate) async fn survey(router: &Router, class: Class) -> (Vec<Standing>, Vec<String>) {
    let (mut standings, mut silent) = (Vec::new(), Vec::new());
    let mut asked = Pipeline::new();
    let count = if class == Class::Disk { 2 } else { 1 };
    for question in questions().cmd_iter().take(count) {
        asked.add_command(question.clone());
    }
    for (addr, answer) in router.ask_masters(&asked).await {
        match answer {
            Ok(replies) if !matches!(replies.first(), Some(Value::ServerError(_))) => {
                standings.push(standing(&addr, &replies));
            }
            Ok(_) => silent.push(format!("{addr} does not answer INFO")),
            Err(why) => silent.push(why),
        }
    }
    (standings, silent)
}

/// What keeps a class from being kept; empty when it is.
pub(crate) fn broken(class: Class, standings: &[Standing], declared: bool) -> Vec<String> {
    let mut broken = Vec::new();
    if class == Class::Fast {
        return broken;
    }
    for of in standings {
        let server = &of.server;
        if let Some(evicts) = evicting(of) {
            broken.push(evicts);
        }
        if class == Class::Replicated && of.replicas == 0 {
            broken.push(format!(
                "{server} has no replica that reads along; add one (REPLICAOF) or wait until it has \
                 caught up"
            ));
        }
        if class != Class::Disk {
            continue;
        }
        if !of.appendonly {
            broken.push(format!("{server} keeps no log on disk; set `appendonly yes`"));
        }
        match of.appendfsync.as_deref() {
            Some("always") => {}
            Some(other) => broken.push(format!(
                "{server} syncs its log `{other}`, so a power cut loses what was answered last; \
                 set `appendfsync always`, or use the class fast"
            )),
            None if declared => {}
            None => broken.push(format!(
                "{server} does not let this user ask CONFIG GET appendfsync; grant +config|get, or, \
                 where the provider vouches for `appendfsync always`, declare it \
                 (--durability-declared)"
            )),
        }
    }
    broken
}

/// Why tasks may vanish when memory runs out.
pub(crate) fn evicting(of: &Standing) -> Option<String> {
    // A server that does not say is an old or a strange one; it is not accused.
    let evicts = !matches!(of.memory_policy.as_str(), "noeviction" | "");
    evicts.then(|| {
        format!(
            "{} may throw tasks away when its memory is full (maxmemory-policy {}); set \
             `maxmemory-policy noeviction`",
            of.server, of.memory_policy
        )
    })
}

/// Refuses a class that the servers contradict.
pub(crate) fn refuse(
    class: Class,
    standings: &[Standing],
    declared: bool,
) -> Result<(), OpenError> {
    let broken = broken(class, standings, declared);
    if broken.is_empty() {
        return Ok(());
    }
    Err(OpenError::Durability { class: class.name(), why: broken.join("; ") })
}

/// What must hold for a write of this class before it is answered.
pub(crate) fn promise(class: Class) -> Promise {
    match class {
        // With `appendfsync always` the server itself syncs before it answers.
        Class::Fast | Class::Disk => Promise::Applied,
        Class::Replicated => Promise::Replicated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Standing {
        Standing {
            server: "h:1".into(),
            appendonly: true,
            appendfsync: Some("always".into()),
            memory_policy: "noeviction".into(),
            replicas: 1,
            used: 1,
            memory_max: 0,
        }
    }

    #[test]
    fn a_class_is_kept_only_by_servers_that_are_set_up_for_it() {
        type Spoil = fn(&mut Standing);
        let spoilt: [(&str, Spoil, [bool; 3]); 7] = [
            ("nothing", |_| {}, [true, true, true]),
            ("no log", |s| s.appendonly = false, [true, false, true]),
            ("everysec", |s| s.appendfsync = Some("everysec".into()), [true, false, true]),
            ("not told", |s| s.appendfsync = None, [true, false, true]),
            ("evicts", |s| s.memory_policy = "allkeys-lru".into(), [true, false, false]),
            ("evicts some", |s| s.memory_policy = "volatile-ttl".into(), [true, false, false]),
            ("no replica", |s| s.replicas = 0, [true, true, false]),
        ];
        for (what, spoil, kept) in spoilt {
            let mut standing = fine();
            spoil(&mut standing);
            // One bad server among good ones is enough.
            let all = [fine(), standing];
            let found = [Class::Fast, Class::Disk, Class::Replicated]
                .map(|class| refuse(class, &all, false).is_ok());
            assert_eq!(found, kept, "{what}");
        }
    }

    #[test]
    fn what_may_not_be_asked_can_be_declared() {
        let silent = Standing { appendfsync: None, ..fine() };
        assert!(refuse(Class::Disk, std::slice::from_ref(&silent), true).is_ok());
        let why = refuse(Class::Disk, &[silent], false).unwrap_err().to_string();
        assert!(why.contains("CONFIG GET") && why.contains("declare"), "{why}");
        let told = Standing { appendfsync: Some("no".into()), ..fine() };
        assert!(refuse(Class::Disk, &[told], true).is_err(), "what is known is not overruled");
    }
}
