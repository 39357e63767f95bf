//! An abort half-way at ten times the size of the other tests. The model and a cluster, where it takes
//! minutes, are held to the same at that size.

use tasktonic_each_store::{On, on_each_store};

use crate::many::sent_back_with_an_abort;

on_each_store!(@embedded Embedded:
    a_hundred_thousand_dead_letters_are_sent_back_with_an_abort_none_lost_none_doubled
);
on_each_store!(@redis Redis:
    a_hundred_thousand_dead_letters_are_sent_back_with_an_abort_none_lost_none_doubled
);

async fn a_hundred_thousand_dead_letters_are_sent_back_with_an_abort_none_lost_none_doubled(
    on: On,
) {
    sent_back_with_an_abort::<100_000>(on).await;
}
