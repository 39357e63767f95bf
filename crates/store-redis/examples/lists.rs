//! Figures: the first page of what is rare among very many tasks of one user, over one private Redis.
//! `cargo run --release -p tasktonic-store-redis --example lists [tasks…]`.

#[expect(dead_code, reason = "other figures use more of it")]
mod rounds;

use std::sync::Arc;

use tasktonic_store::conformance::{crowd, first_pages};
use tasktonic_testkit::redis::{self, Redis};

/// How often each page is asked for.
const TIMES: usize = 40;

fn main() {
    let counts: Vec<u64> = std::env::args().skip(1).map(|n| n.parse().expect("a number")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for count in if counts.is_empty() { vec![100_000, 1_000_000] } else { counts } {
            let server = Redis::start(redis::Options::default());
            let store = rounds::open(&server.url(), 1).await;
            let user = crowd(&*Arc::clone(&store), count).await;
            for page in first_pages(&*store, &user, TIMES).await {
                println!("Redis, {count} tasks, {page}");
            }
            let bytes = server.info("memory")["used_memory"].parse::<u64>().expect("bytes");
            println!("Redis, {count} tasks, {} bytes each", bytes / count);
        }
    });
}
