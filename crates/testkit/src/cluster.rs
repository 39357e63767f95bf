//! A Redis Cluster of one test: masters and replicas on the loopback interface.

use std::fmt::Write as _;
use std::time::Duration;

use crate::network::Place;
use crate::redis::{Options, Redis, Reply, Server};
use crate::{Scratch, ports, wait};

/// Slots of every cluster.
pub const SLOTS: u16 = 16_384;
/// After how long a silent node counts as gone. Redis votes a new master in twice that.
const NODE_TIMEOUT_MS: u32 = 1_000;
/// How long the nodes may take to agree.
const AGREE: Duration = Duration::from_secs(30);
/// How often other ports are tried when somebody was quicker.
const PORTS_TRIED: u32 = 5;
/// Keys moved by one `MIGRATE`.
const MOVED_AT_ONCE: &str = "100";

/// A running cluster. Nodes 0 to `masters - 1` begin as masters, the others as replica of the node
/// with the same place. Dropping it kills all.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
    ids: Vec<String>,
}

impl Cluster {
    /// Three masters, each with one replica.
    ///
    /// # Panics
    /// When they do not start or do not agree.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(3, 1, &Options::default())
    }

    /// `masters` masters with `replicas` replicas each, every one started with `options`.
    ///
    /// # Panics
    /// When they do not start or do not agree.
    #[must_use]
    pub fn start_with(masters: usize, replicas: usize, options: &Options) -> Self {
        Self::start_across(masters, replicas, |_| options.clone())
    }

    /// As [`Cluster::start_with`], with options for each node: nodes may stand in several places.
    ///
    /// # Panics
    /// When they do not start or do not agree.
    #[must_use]
    pub fn start_across(
        masters: usize,
        replicas: usize,
        options_of: impl Fn(usize) -> Options,
    ) -> Self {
        let count = masters * (1 + replicas);
        let ids: Vec<String> = (0..count).map(|node| format!("{:040x}", node + 1)).collect();
        for _ in 0..PORTS_TRIED {
            let ports = ports::several(2 * count);
            let (client, bus) = ports.split_at(count);
            let nodes: Option<Vec<Redis>> = (0..count)
                .map(|node| {
                    let dir = Scratch::new();
                    let mut options = options_of(node);
                    let known = layout(&options_of, node, masters, &ids, client, bus);
                    std::fs::write(dir.join("nodes.conf"), known)
                        .expect("a scratch folder can be written");
                    options.lines.extend([
                        "cluster-enabled yes".into(),
                        "cluster-config-file nodes.conf".into(),
                        format!("cluster-port {}", bus[node]),
                        format!("cluster-node-timeout {NODE_TIMEOUT_MS}"),
                        // A replica that was cut off for a while may still be promoted: tests
                        // of failover are about what happens then.
                        "cluster-replica-validity-factor 0".into(),
                    ]);
                    Redis::start_in(options, client[node], dir)
                })
                .collect();
            if let Some(nodes) = nodes {
                let cluster = Self { nodes, ids };
                cluster.wait_until_agreed();
                return cluster;
            }
        }
        panic!("no ports for a cluster were free for long enough");
    }

    /// The nodes by number, dead ones too.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// A node.
    #[must_use]
    pub fn node(&self, node: usize) -> &Redis {
        &self.nodes[node]
    }

    /// A node, to be killed or frozen.
    #[must_use]
    pub fn node_mut(&mut self, node: usize) -> &mut Redis {
        &mut self.nodes[node]
    }

    /// A URL that names two of its nodes; the others are found from there.
    #[must_use]
    pub fn url(&self) -> String {
        let last = &self.nodes[self.nodes.len() - 1];
        format!("{},{}:{}", self.nodes[0].url(), last.address(), last.port())
    }

    /// Kills a node as a crash would.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].crash();
    }

    /// Starts a killed node again with what it had on disk.
    pub fn revive(&mut self, node: usize) {
        self.nodes[node].restart();
    }

    /// The node that has `slot`, asked of every node that lives until they agree.
    ///
    /// # Panics
    /// When they do not agree in time.
    #[must_use]
    pub fn master_of(&self, slot: u16) -> usize {
        wait::for_some(&format!("all nodes to agree on slot {slot}"), AGREE, || {
            let mut owners = self.living().map(|node| self.owner(node, slot));
            let first = owners.next()??;
            owners.all(|owner| owner == Some(first)).then_some(first)
        })
    }

    /// The nodes that replicate `master` now, as it says itself.
    #[must_use]
    pub fn replicas_of(&self, master: usize) -> Vec<usize> {
        let reply = self.nodes[master].ask(&["CLUSTER", "REPLICAS", &self.ids[master]]);
        let lines: Vec<String> = reply.items().iter().map(Reply::text).collect();
        (0..self.nodes.len())
            .filter(|node| lines.iter().any(|line| line.starts_with(&self.ids[*node])))
            .collect()
    }

    /// Moves a slot with its keys, as `redis-cli --cluster reshard` does: while it is under way
    /// both nodes answer ASK or TRYAGAIN for what they lack.
    ///
    /// # Panics
    /// When a node refuses.
    pub fn migrate_slot(&self, slot: u16, to: usize) {
        let from = self.master_of(slot);
        if from == to {
            return;
        }
        let text = slot.to_string();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        target.cli(&["CLUSTER", "SETSLOT", &text, "IMPORTING", &self.ids[from]]);
        source.cli(&["CLUSTER", "SETSLOT", &text, "MIGRATING", &self.ids[to]]);
        let (address, port) = (target.address().to_string(), target.port().to_string());
        loop {
            let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", &text, MOVED_AT_ONCE]);
            if keys.items().is_empty() {
                break;
            }
            let mut words: Vec<Vec<u8>> =
                ["MIGRATE", &address, &port, "", "0", "5000", "REPLACE", "KEYS"]
                    .iter()
                    .map(|word| word.as_bytes().to_vec())
                    .collect();
            words.extend(keys.items().iter().filter_map(|key| match key {
                Reply::Bytes(bytes) => Some(bytes.clone()),
                _ => None,
            }));
            source.cli(&words);
        }
        // The target first: a crash in between leaves an owner.
        target.cli(&["CLUSTER", "SETSLOT", &text, "NODE", &self.ids[to]]);
        source.cli(&["CLUSTER", "SETSLOT", &text, "NODE", &self.ids[to]]);
        wait::until(&format!("slot {slot} to be at node {to}"), AGREE, || {
            self.living().all(|node| self.owner(node, slot) == Some(to))
        });
    }

    /// Makes a replica of the master of `slot` the master, with both alive and nothing lost.
    ///
    /// # Panics
    /// When it has no replica, or they do not agree in time.
    pub fn failover(&self, slot: u16) -> usize {
        let old = self.master_of(slot);
        let new = *self.replicas_of(old).first().expect("the master has a replica");
        // Refused while the replica has not caught up yet.
        wait::until(&format!("node {new} to take slot {slot}"), AGREE, || {
            if self.owner(new, slot) != Some(new) {
                let _ = self.nodes[new].ask(&["CLUSTER", "FAILOVER"]);
                std::thread::sleep(Duration::from_millis(200));
            }
            self.living().all(|node| self.owner(node, slot) == Some(new))
        });
        new
    }

    /// Makes `replica` the master although its master may be elsewhere or gone, without asking
    /// the others: how a stale replica comes to power.
    ///
    /// # Panics
    /// When it refuses, or they do not agree in time.
    pub fn take_over(&self, replica: usize) {
        self.nodes[replica].cli(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
        wait::until(&format!("node {replica} to be a master"), AGREE, || {
            self.nodes[replica].info("replication").get("role").is_some_and(|role| role == "master")
        });
    }

    /// Waits until all living nodes see the same masters, slots and replicas, all slots are served,
    /// and every living replica follows its master.
    ///
    /// # Panics
    /// When they do not agree in time.
    pub fn wait_until_agreed(&self) {
        wait::until("the cluster to agree", AGREE, || {
            let mut views = self.living().map(|node| self.view(node));
            let first = views.next().flatten();
            first.is_some() && views.all(|view| view == first)
        });
    }

    /// What `node` knows of the living ones; nothing while it is not content.
    fn view(&self, node: usize) -> Option<Vec<String>> {
        let node = &self.nodes[node];
        // A replica that is copied anew refuses everything but INFO meanwhile.
        let told = |what| Some(node.ask(&["CLUSTER", what])).filter(|reply| !reply.is_error());
        if !told("INFO")?.text().contains("cluster_state:ok") {
            return None;
        }
        let replication = node.info("replication");
        let is = |name: &str, value: &str| replication.get(name).is_some_and(|is| is == value);
        let known = told("NODES")?.text();
        let of =
            |line: &str, number: usize| line.split(' ').nth(number).unwrap_or_default().to_owned();
        let me = known.lines().find(|line| line.contains("myself"))?;
        if is("role", "slave") != of(me, 2).contains("slave")
            || (is("role", "slave") && !is("master_link_status", "up"))
        {
            return None;
        }
        let mut view = Vec::new();
        for line in known.lines() {
            let other = self.ids.iter().position(|id| *id == of(line, 0))?;
            if !self.nodes[other].is_up() {
                continue;
            }
            let role = of(line, 2).replace("myself,", "");
            let slots: Vec<&str> = line.split(' ').skip(8).collect();
            view.push(format!("{other} {role} {} {}", of(line, 3), slots.join(" ")));
        }
        view.sort();
        // A master counts its replicas only once they read along.
        let online = replication.values().filter(|value| value.contains("state=online")).count();
        let replicas = view.iter().filter(|line| line.contains(&of(me, 0))).count();
        (is("role", "slave") || online == replicas).then_some(view)
    }

    fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_up())
    }

    /// Who has `slot`, as `node` sees it.
    fn owner(&self, node: usize, slot: u16) -> Option<usize> {
        let slots = self.nodes[node].ask(&["CLUSTER", "SLOTS"]);
        slots.items().iter().find_map(|range| match range.items() {
            [Reply::Number(first), Reply::Number(last), master, ..]
                if (*first..=*last).contains(&i64::from(slot)) =>
            {
                let id = master.items().get(2)?.text();
                self.ids.iter().position(|known| *known == id)
            }
            _ => None,
        })
    }
}

/// What `node` knows from the start, in the form that Redis itself keeps: so that no time goes
/// into meeting.
fn layout(
    options_of: &impl Fn(usize) -> Options,
    node: usize,
    masters: usize,
    ids: &[String],
    client: &[u16],
    bus: &[u16],
) -> String {
    let mut text = String::new();
    for (other, id) in ids.iter().enumerate() {
        let me = if other == node { "myself," } else { "" };
        let place = other % masters;
        let Options { server, place: Place { address, .. }, .. } = options_of(other);
        // Valkey tells its shards apart, and ends itself when it does not know its own.
        let shard = match server {
            Server::Redis => String::new(),
            Server::Valkey => format!(",,tls-port=0,shard-id={}", ids[place]),
        };
        let _ = write!(text, "{id} {address}:{}@{}{shard} {me}", client[other], bus[other]);
        let epoch = place + 1;
        if other < masters {
            let share = usize::from(SLOTS);
            let (first, last) = (place * share / masters, (place + 1) * share / masters - 1);
            let _ = writeln!(text, "master - 0 0 {epoch} connected {first}-{last}");
        } else {
            let _ = writeln!(text, "slave {} 0 0 {epoch} connected", ids[place]);
        }
    }
    let _ = writeln!(text, "vars currentEpoch {masters} lastVoteEpoch 0");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The slot of the key `a`.
    const SLOT: u16 = 15_495;

    #[test]
    fn a_cluster_moves_slots_and_survives_the_death_of_a_master() {
        for server in Server::installed() {
            let since = Instant::now();
            let mut cluster = Cluster::start_with(3, 1, &Options { server, ..Options::default() });
            eprintln!("{server:?}: agreed after {:?}", since.elapsed());
            let old = cluster.master_of(SLOT);
            assert_eq!(old, 2);
            cluster.node(old).cli(&["SET", "a", "1"]);

            cluster.migrate_slot(SLOT, 0);
            assert_eq!(cluster.master_of(SLOT), 0);
            assert_eq!(cluster.node(0).cli(&["GET", "a"]), "1");
            cluster.migrate_slot(SLOT, old);

            let new = cluster.failover(SLOT);
            assert_eq!((new, cluster.master_of(SLOT)), (5, 5));
            assert_eq!(cluster.node(5).cli(&["GET", "a"]), "1");
            cluster.wait_until_agreed();

            cluster.kill(5);
            assert_eq!(
                wait::for_some("the old master to be master again", AGREE, || {
                    let owner = cluster.master_of(SLOT);
                    (owner != 5).then_some(owner)
                }),
                old
            );
            assert_eq!(cluster.node(old).cli(&["GET", "a"]), "1");
            cluster.revive(5);
            cluster.wait_until_agreed();
            assert_eq!(cluster.replicas_of(old), vec![5]);
        }
    }
}
