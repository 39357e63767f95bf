//! Which server has which slot. One server alone has them all.

use std::sync::Arc;

use redis::Value;
use tasktonic_core::routing::SLOTS;

use super::dial::Addr;
use super::node::Node;

/// Slots that nobody has.
const NOBODY: u16 = u16::MAX;

/// A moment's knowledge of the servers.
#[derive(Debug)]
pub(crate) struct Table {
    /// The masters.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Per slot the place of its master in `nodes`.
    owners: Vec<u16>,
    /// Whether these are the servers of a cluster.
    pub(crate) is_cluster: bool,
}

impl Table {
    /// Nobody has anything yet.
    pub(crate) fn empty() -> Self {
        Self { nodes: Vec::new(), owners: vec![NOBODY; usize::from(SLOTS)], is_cluster: false }
    }

    /// One server has everything.
    pub(crate) fn alone(node: Arc<Node>) -> Self {
        Self { nodes: vec![node], owners: vec![0; usize::from(SLOTS)], is_cluster: false }
    }

    /// The table that an answer to `CLUSTER SLOTS` draws. `known` finds or makes a node; `asked`
    /// stands where the answer leaves the host out.
    pub(crate) fn of_slots(
        answer: &Value,
        asked: &Addr,
        mut known: impl FnMut(&Addr) -> Arc<Node>,
    ) -> Option<Self> {
        let mut table = Self { is_cluster: true, ..Self::empty() };
        for range in items(answer)? {
            let [Value::Int(first), Value::Int(last), master, ..] = items(range)? else {
                return None;
            };
            let [host, Value::Int(port), ..] = items(master)? else { return None };
            let host = match host {
                Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
                Value::SimpleString(host) => host.clone(),
                _ => String::new(),
            };
            let host = if host.is_empty() { asked.host.clone() } else { host };
            if host == "?" {
                continue;
            }
            let addr = Addr { host, port: u16::try_from(*port).ok()? };
            let at = table.place(&addr, &mut known);
            let range = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
            table.owners.get_mut(range)?.fill(at);
        }
        (!table.nodes.is_empty()).then_some(table)
    }

    /// This table with one slot elsewhere.
    pub(crate) fn with(
        &self,
        slot: u16,
        addr: &Addr,
        mut known: impl FnMut(&Addr) -> Arc<Node>,
    ) -> Self {
        let mut table = Self {
            nodes: self.nodes.clone(),
            owners: self.owners.clone(),
            is_cluster: self.is_cluster,
        };
        let at = table.place(addr, &mut known);
        if let Some(owner) = table.owners.get_mut(usize::from(slot)) {
            *owner = at;
        }
        table
    }

    fn place(&mut self, addr: &Addr, known: &mut impl FnMut(&Addr) -> Arc<Node>) -> u16 {
        let at = self.nodes.iter().position(|node| node.addr == *addr).unwrap_or_else(|| {
            self.nodes.push(known(addr));
            self.nodes.len() - 1
        });
        u16::try_from(at).expect("there are fewer masters than slots")
    }

    /// Whether every slot has the same master in both.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same = |slot| match (self.owner(slot), other.owner(slot)) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two) || one.addr == two.addr,
            (one, two) => one.is_none() && two.is_none(),
        };
        self.is_cluster == other.is_cluster && (0..SLOTS).all(same)
    }

    /// The master of `slot`.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.nodes.get(usize::from(*self.owners.get(usize::from(slot))?))
    }
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(addr: &Addr) -> Arc<Node> {
        Arc::new(Node::new(addr.clone()))
    }

    #[test]
    fn slots_find_their_master_and_a_moved_one_its_new() {
        let answer = b"*2\r\n*4\r\n:0\r\n:99\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nr\r\n:9\r\n*3\r\n:100\r\n:16383\r\n*2\r\n$-1\r\n:2\r\n";
        let answer = redis::parse_redis_value(answer).unwrap();
        let asked = Addr { host: "here".into(), port: 7 };
        let table = Table::of_slots(&answer, &asked, node).unwrap();
        let of = |table: &Table, slot| table.owner(slot).unwrap().addr.to_string();
        assert_eq!([of(&table, 0), of(&table, 99)], ["a:1", "a:1"]);
        assert_eq!([of(&table, 100), of(&table, 16_383)], ["here:2", "here:2"]);
        let moved = table.with(99, &Addr { host: "b".into(), port: 3 }, node);
        assert_eq!([of(&moved, 98), of(&moved, 99), of(&moved, 100)], ["a:1", "b:3", "here:2"]);
    }

    #[test]
    fn a_nonsense_answer_draws_no_table() {
        let asked = Addr { host: "here".into(), port: 7 };
        for answer in ["*0\r\n", "+OK\r\n", "*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n$1\r\na\r\n:1\r\n"] {
            let answer = redis::parse_redis_value(answer.as_bytes()).unwrap();
            assert!(Table::of_slots(&answer, &asked, node).is_none());
        }
    }
}
