//! What subscriptions need of the router: who has which partition, a connection of their own, and
//! a way to call themselves. Does not keep the router alive.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use redis::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dial::Greeted;
use super::resp::command;
use super::{Addr, DialError, Inner, Table};
use crate::errors::{first, words};
use crate::subscriptions::{Subscriptions, keep};

/// A call into partitions, and why it did not get there.
pub(crate) type Echo = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The router, as seen by subscriptions.
#[derive(Debug, Clone)]
pub(crate) struct Upstream(Weak<Inner>);

impl Upstream {
    pub(super) fn of(inner: &Arc<Inner>) -> Self {
        Self(Arc::downgrade(inner))
    }

    /// Tells when slots have moved.
    pub(crate) fn moved(&self) -> Option<watch::Receiver<Arc<Table>>> {
        Some(self.0.upgrade()?.table.subscribe())
    }

    /// The partitions that the server at `addr` has, in order.
    pub(crate) fn parts_of(&self, addr: &Addr) -> Vec<usize> {
        let Some(inner) = self.0.upgrade() else { return Vec::new() };
        let table = inner.table.borrow().clone();
        let homes = inner.partitions.get().into_iter().flatten().enumerate();
        homes
            .filter(|(_, home)| table.owner(home.slot).is_some_and(|node| node.addr == *addr))
            .map(|(p, _)| p)
            .collect()
    }

    /// A connection on which signals can come in.
    pub(crate) async fn dial(&self, addr: &Addr) -> Result<Greeted, DialError> {
        let dialer = self.0.upgrade().map(|inner| inner.dialer.clone());
        match dialer {
            Some(dialer) => dialer.dial(addr, true).await,
            None => Err(DialError::Unreachable("the store is closed".into())),
        }
    }

    /// Asks where the slots are, after a fault at `addr`.
    pub(crate) async fn look(&self, addr: &Addr) {
        if let Some(inner) = self.0.upgrade() {
            // Failing, the next connection says so.
            let _: Result<_, _> = inner.refresh(Some(addr)).await;
        }
    }

    /// Publishes on `channels`, each of the partition named with it, over the connection for calls.
    pub(crate) fn echo(&self, channels: Vec<(usize, String)>) -> Echo {
        let weak = self.0.clone();
        Box::pin(async move {
            let Some(inner) = weak.upgrade() else { return Ok(()) };
            let node = channels.first().and_then(|(p, _)| {
                let home = inner.partitions.get()?.get(*p)?;
                inner.table.borrow().owner(home.slot).cloned()
            });
            let Some(node) = node else { return Err("slots have moved".into()) };
            let loaded = node.calls.get(&inner.dialer, &node.addr).await;
            let loaded = loaded.map_err(|why| why.to_string())?;
            drop(inner);
            let mut bytes = Vec::new();
            for (_, channel) in &channels {
                command(&mut bytes, ["SPUBLISH", channel, ""].iter());
            }
            let replies: Vec<Value> = loaded
                .connection
                .send(bytes, channels.len())
                .await
                .map_err(|_| format!("{} does not answer", node.addr))?;
            first(&replies).map_or(Ok(()), |error| Err(words(error)))
        })
    }
}

/// Keeps one connection for signals per master.
pub(super) async fn supervise(
    subscriptions: Arc<Subscriptions>,
    upstream: Upstream,
    ended: CancellationToken,
) {
    let Some(mut moved) = upstream.moved() else { return };
    let mut kept: HashMap<Addr, CancellationToken> = HashMap::new();
    loop {
        let table = moved.borrow_and_update().clone();
        kept.retain(|addr, token| {
            let stays = table.nodes.iter().any(|node| node.addr == *addr);
            if !stays {
                token.cancel();
            }
            stays
        });
        for node in &table.nodes {
            kept.entry(node.addr.clone()).or_insert_with(|| {
                let token = ended.child_token();
                let (subscriptions, upstream) = (subscriptions.clone(), upstream.clone());
                tokio::spawn(keep(subscriptions, upstream, node.addr.clone(), token.clone()));
                token
            });
        }
        drop(table);
        tokio::select! {
            () = ended.cancelled() => return,
            changed = moved.changed() => if changed.is_err() { return },
        }
    }
}
