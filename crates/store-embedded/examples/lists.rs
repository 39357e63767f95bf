//! Figures: the first page of what is rare among very many tasks of one user.
//! `cargo run --release -p tasktonic-store-embedded --example lists <folder> [tasks…]`.

use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{crowd, first_pages};
use tasktonic_store_embedded::{EmbeddedStore, Options};

/// How often each page is asked for.
const TIMES: usize = 40;

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().expect("lists <folder> [tasks…]");
    let counts: Vec<u64> = args.map(|n| n.parse().expect("a number")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for count in if counts.is_empty() { vec![100_000, 1_000_000] } else { counts } {
            let dir = std::path::Path::new(&folder).join(count.to_string());
            let store = EmbeddedStore::open(dir, Options::new(Clock::system())).expect("it opens");
            let user = crowd(&store, count).await;
            for page in first_pages(&store, &user, TIMES).await {
                println!("embedded, {count} tasks, {page}");
            }
            store.close().await;
        }
    });
}
