//! Lists of a user with very many tasks, before the fold has come to them and after a restart.

use tasktonic_core::routing::PartitionId;
use tasktonic_store::clock::Clock;
use tasktonic_store::conformance::{RARE, crowd, first_pages};
use tasktonic_store::{Query, QueryReply, Store as _, TaskFilter};
use tasktonic_store_embedded::{EmbeddedStore, Options};
use tasktonic_testkit::Scratch;

const TASKS: u64 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rare_among_100_000_is_found_before_and_after_a_restart() {
    let scratch = Scratch::new();
    let open = || EmbeddedStore::open(scratch.path(), Options::new(Clock::system())).unwrap();
    let store = open();
    let user = crowd(&store, TASKS).await;
    let check = async |store: &EmbeddedStore, when: &str| {
        for page in first_pages(store, &user, 5).await {
            println!("{TASKS} tasks, {when}, {page}");
            let expected = match page.what {
                "everything" => 50,
                "a tag that is rare" | "a word of a tag that is rare" => RARE,
                "a tag that nobody has" | "what is delayed, of which there is none" => 0,
                _ => 8,
            };
            assert_eq!(page.found as u64, expected, "{}", page.what);
        }
    };
    check(&store, "just submitted").await;
    store.close().await;
    let store = open();
    check(&store, "after a restart").await;
    assert_eq!(store.partitions(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_finds_little_ends_its_page_and_says_where_to_go_on() {
    let scratch = Scratch::new();
    let options = Options { list_examined_max: 500, ..Options::new(Clock::system()) };
    let store = EmbeddedStore::open(scratch.path(), options).unwrap();
    let user = crowd(&store, 3_000).await;
    let filter = TaskFilter { tag: Some("Rare one".into()), ..TaskFilter::default() };
    let (mut cursor, mut found, mut pages) = (None, 0, 0);
    loop {
        let query = Query::List { user: user.clone(), filter: filter.clone(), cursor, limit: 50 };
        let QueryReply::List(page) = store.read(PartitionId(0), query).await.unwrap() else {
            panic!()
        };
        found += page.tasks.len() as u64;
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, RARE);
    assert!((6..=7).contains(&pages), "{pages} pages of 500 looks each");
}
