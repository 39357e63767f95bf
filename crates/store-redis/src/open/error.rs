//! Why a store on Redis does not open. Each text says what to do next; none holds a password.

/// Why a store could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No server answers.
    #[error(
        "Redis at {url} cannot be reached: {why}. Is it running, and is this the right host and port?"
    )]
    Unreachable {
        /// Without user and password.
        url: String,
        /// In words.
        why: String,
    },
    /// A server answers, and will not have us.
    #[error(
        "Redis at {url} refuses the connection: {why}. Are user and password right? Put them into \
         TASKTONIC_STORE or a file for --store-file"
    )]
    Refused {
        /// Without user and password.
        url: String,
        /// In words.
        why: String,
    },
    /// Too old, or something else.
    #[error(
        "{server} at {url} is too old; Task Tonic needs Redis 7.0 or newer, or Valkey 7.2 or newer"
    )]
    TooOld {
        /// Without user and password.
        url: String,
        /// Name and version.
        server: String,
    },
    /// Only replicas are named.
    #[error(
        "Redis at {url} is a replica of {master}; name the master, or both, in the URL of the store"
    )]
    Replica {
        /// Without user and password.
        url: String,
        /// Its master.
        master: String,
    },
    /// A program between us and the servers.
    #[error(
        "Redis at {url} is reached through a proxy that mixes several servers (two questions were \
         answered by different processes); connect to the servers themselves: a failover must be \
         seen to be survived"
    )]
    Proxy {
        /// Without user and password.
        url: String,
    },
    /// A cluster that does not serve all of it.
    #[error("the cluster at {url} is not whole: {what}; see `redis-cli --cluster check`")]
    Cluster {
        /// Without user and password.
        url: String,
        /// In words.
        what: String,
    },
    /// The user may not do what is needed.
    #[error(
        "the Redis user may not use {commands}; grant it in its ACL: ACL SETUSER <user> ~tt:* &tt:* \
         +@all -@dangerous +info +cluster|slots +config|get"
    )]
    Rights {
        /// Names of commands.
        commands: String,
    },
    /// Written by a newer release.
    #[error(
        "the store has form {found} and this release knows form {known}; run the release that \
         raised it, or a newer one. Going back is not possible"
    )]
    Newer {
        /// The form found.
        found: u32,
        /// The newest known form.
        known: u32,
    },
    /// The keys of the store are not what they should be.
    #[error(
        "the store is damaged: {what}. Put a backup back, or delete the key if nothing but this is \
         wrong: it is made again"
    )]
    Damaged {
        /// In words.
        what: String,
    },
    /// An import is under way, or was cut short.
    #[error(
        "an import into this store is under way, or was cut short; wait for it, or run `tasktonic \
         import` again: it begins anew"
    )]
    HalfImported,
    /// The promise cannot be kept.
    #[error("the durability class {class} cannot be kept: {why}")]
    Durability {
        /// The class.
        class: &'static str,
        /// What contradicts it, and what to do.
        why: String,
    },
    /// More or fewer partitions than there can be.
    #[error("a store has 1 to {max} partitions, not {asked}")]
    Partitions {
        /// What was asked for.
        asked: u16,
        /// The most.
        max: u16,
    },
}
