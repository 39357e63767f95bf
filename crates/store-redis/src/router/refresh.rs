//! Keeping the table of slots true.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom as _;
use redis::Value;

use super::resp::command;
use super::{Addr, DialError, Inner, Node, Table};
use crate::errors::{Verdict, verdict, words};

/// A table this fresh is not asked for again.
const REFRESH_GAP_MS: u64 = 25;

/// What a server said of itself.
enum Told {
    Table(Table),
    /// It is a server for itself, and a master or not.
    Alone {
        is_master: bool,
    },
}

impl Inner {
    /// Asks where the slots are, `unlike` last: it is the one that made us ask.
    pub(super) async fn refresh(&self, unlike: Option<&Addr>) -> Result<(), DialError> {
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|when| when.elapsed() < Duration::from_millis(REFRESH_GAP_MS)) {
            return Ok(());
        }
        let mut why = DialError::Unreachable("no server is known".into());
        let mut replica = None;
        for node in self.to_ask(unlike) {
            match self.ask(&node).await {
                Ok(Told::Table(table)) => {
                    self.set_table(table);
                    *refreshed = Some(Instant::now());
                    return Ok(());
                }
                Ok(Told::Alone { is_master: true }) => {
                    self.set_table(Table::alone(node));
                    *refreshed = Some(Instant::now());
                    return Ok(());
                }
                Ok(Told::Alone { is_master: false }) => replica = Some(node),
                // What people must mend is told before what may pass.
                Err(error) => {
                    if !matches!(why, DialError::Refused(_)) {
                        why = error;
                    }
                }
            }
        }
        *refreshed = Some(Instant::now());
        match replica {
            // It can be read, and says itself that it cannot be written.
            Some(node) => {
                self.set_table(Table::alone(node));
                Ok(())
            }
            None => Err(why),
        }
    }

    /// Every server there is to ask: connected ones first.
    fn to_ask(&self, unlike: Option<&Addr>) -> Vec<Arc<Node>> {
        let mut nodes = self.table.borrow().nodes.clone();
        nodes.shuffle(&mut rand::rng());
        for addr in self.dialer.named() {
            if !nodes.iter().any(|node| node.addr == addr) {
                nodes.push(self.node(&addr));
            }
        }
        nodes.sort_by_key(|node| (Some(&node.addr) == unlike, node.calls.alive().is_none()));
        nodes
    }

    async fn ask(&self, node: &Arc<Node>) -> Result<Told, DialError> {
        let loaded = node.calls.get(&self.dialer, &node.addr).await?;
        let mut bytes = Vec::new();
        command(&mut bytes, ["CLUSTER", "SLOTS"].iter());
        command(&mut bytes, ["INFO", "replication"].iter());
        let replies = loaded.connection.send(bytes, 2).await;
        let replies = replies
            .map_err(|_| DialError::Unreachable(format!("{} does not answer", node.addr)))?;
        let [slots, info] = &replies[..] else {
            return Err(DialError::Unreachable(format!("{} answers in part", node.addr)));
        };
        match slots {
            Value::ServerError(error) if verdict(error) == Verdict::Other => {
                let info = match info {
                    Value::BulkString(info) => String::from_utf8_lossy(info),
                    _ => "".into(),
                };
                Ok(Told::Alone { is_master: !info.contains("role:slave") })
            }
            Value::ServerError(error) => {
                let why = format!("{} answers: {}", node.addr, words(error));
                Err(match verdict(error) {
                    Verdict::Misconfigured => DialError::Refused(why),
                    _ => DialError::Unreachable(why),
                })
            }
            slots => match Table::of_slots(slots, &node.addr, |addr| self.node(addr)) {
                Some(table) => Ok(Told::Table(table)),
                None => Err(DialError::Unreachable(format!("{} knows no slots", node.addr))),
            },
        }
    }

    /// The node at `addr`, with the connections it has.
    fn node(&self, addr: &Addr) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        nodes.entry(addr.clone()).or_insert_with(|| Arc::new(Node::new(addr.clone()))).clone()
    }

    /// Takes the word of a server that it does not have `slot` any more.
    pub(super) fn has_moved(&self, slot: u16, to: &Addr) {
        let table = self.table.borrow().with(slot, to, |addr| self.node(addr));
        self.set_table(table);
    }

    fn set_table(&self, table: Table) {
        let named = self.dialer.named();
        self.nodes.lock().retain(|addr, _| {
            named.contains(addr) || table.nodes.iter().any(|node| node.addr == *addr)
        });
        // Listeners look only when something is different.
        self.table.send_if_modified(|now| {
            let changed = !now.is_like(&table);
            *now = Arc::new(table);
            changed
        });
    }
}
