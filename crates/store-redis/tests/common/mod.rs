//! A store on a private server of the test.

use tasktonic_store::clock::Clock;
use tasktonic_store_redis::{Options, RedisStore};
use tasktonic_testkit::redis::{self, Redis, Server};

/// A fresh server of the sort.
pub(crate) fn server(server: Server) -> Redis {
    Redis::start(redis::Options { server, ..redis::Options::default() })
}

/// Opens a store on `redis`, whose scripts go by `clock`.
pub(crate) async fn open(redis: &Redis, clock: Clock, partitions: u16) -> RedisStore {
    open_at(&redis.url(), clock, partitions).await
}

/// The same at any address.
pub(crate) async fn open_at(url: &str, clock: Clock, partitions: u16) -> RedisStore {
    let options = Options {
        clock_is_of_scripts: true,
        partitions,
        reconcile_every: None,
        ..Options::new(clock)
    };
    RedisStore::open(&url.parse().unwrap(), options).await.unwrap()
}
