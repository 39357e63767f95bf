//! Six servers become a cluster: who meets whom, who keeps which keys, who follows whom. Afterwards
//! they know it themselves.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::redis::{MASTERS, Node};
use super::roster::write_private;
use super::talk::{ask, field, replicas};

/// Slots that the keys of a cluster are spread over.
const SLOTS: usize = 16_384;
/// How long the servers may take to agree.
const AGREE_WAIT: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Makes one cluster of `nodes`, the first half masters, unless they are one already; and waits
/// until every server has its part.
pub(crate) async fn form(nodes: &[Node], password: &str) -> Result<()> {
    let info = ask(nodes[0].port, password, "CLUSTER INFO").await?;
    let assigned = field(&info, "cluster_slots_assigned").and_then(|n| n.parse().ok());
    if assigned != Some(SLOTS) {
        // New, or a first start was cut short: nothing was ever kept in it.
        make(nodes, password).await.context("making the cluster")?;
    }
    let agree = async {
        // All in one round: a master without a replica yet has none to wait for.
        while !all_have_their_part(nodes, password).await {
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(AGREE_WAIT, agree)
        .await
        .map_err(|_| anyhow!("the servers of the cluster do not agree; see their logs"))
}

async fn make(nodes: &[Node], password: &str) -> Result<()> {
    for (at, node) in nodes.iter().enumerate() {
        ask(node.port, password, "CLUSTER RESET HARD").await?;
        ask(node.port, password, &format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1)).await?;
    }
    for Node { port, bus } in &nodes[1..] {
        ask(nodes[0].port, password, &format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await?;
    }
    for (at, node) in nodes[..MASTERS].iter().enumerate() {
        let (first, next) = (at * SLOTS / MASTERS, (at + 1) * SLOTS / MASTERS);
        let range = format!("CLUSTER ADDSLOTSRANGE {first} {}", next - 1);
        ask(node.port, password, &range).await?;
    }
    for (at, node) in nodes[MASTERS..].iter().enumerate() {
        let master = ask(nodes[at].port, password, "CLUSTER MYID").await?;
        // It must have heard of its master first.
        let follow = async {
            while ask(node.port, password, &format!("CLUSTER REPLICATE {master}")).await.is_err() {
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        tokio::time::timeout(AGREE_WAIT, follow).await.context("a replica finds no master")?;
    }
    Ok(())
}

async fn all_have_their_part(nodes: &[Node], password: &str) -> bool {
    for node in nodes {
        if !has_its_part(node, password).await {
            return false;
        }
    }
    true
}

/// Whether a server sees all of the cluster at work, and has its master's data if it has a master.
async fn has_its_part(node: &Node, password: &str) -> bool {
    let Ok(info) = ask(node.port, password, "CLUSTER INFO").await else { return false };
    let Ok(role) = ask(node.port, password, "INFO replication").await else { return false };
    field(&info, "cluster_state") == Some("ok")
        && field(&info, "cluster_known_nodes") == Some("6")
        && match field(&role, "role") {
            // It counts a replica only once it has heard from it again.
            Some("master") => replicas(&role).is_some_and(|(online, all)| online == all),
            _ => field(&role, "master_link_status") == Some("up"),
        }
}

/// Writes other ports into what a server of the last start knows of the others.
pub(crate) fn move_ports(home: &Path, old: &[Node], new: &[Node]) -> Result<()> {
    let file = home.join("nodes.conf");
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(()) };
    let moved = moved(&text, old, new);
    if moved != text {
        write_private(&file, &moved)?;
    }
    Ok(())
}

/// A line names a server as `id host:port@bus[,…] …`.
fn moved(text: &str, old: &[Node], new: &[Node]) -> String {
    let one = |line: &str| {
        let pairs = old.iter().zip(new);
        let mut places = pairs.map(|(old, new)| (format!(":{}@{}", old.port, old.bus), new));
        let known = places.find(|(place, _)| line.contains(place.as_str()));
        known.map_or_else(
            || line.to_owned(),
            |(place, new)| line.replacen(&place, &format!(":{}@{}", new.port, new.bus), 1),
        )
    };
    text.split_inclusive('\n').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_move_once_each_also_where_old_and_new_overlap() {
        let nodes = |ports: &[(u16, u16)]| -> Vec<Node> {
            ports.iter().map(|(port, bus)| Node { port: *port, bus: *bus }).collect()
        };
        let old = nodes(&[(1, 2), (3, 4)]);
        let new = nodes(&[(3, 4), (5, 6)]);
        let text = "a 127.0.0.1:1@2,,shard-id=x myself,master - 0 0 1 connected 0-5\n\
                    b 127.0.0.1:3@4 slave a 0 0 1 connected\nvars currentEpoch 1\n";
        let expected = "a 127.0.0.1:3@4,,shard-id=x myself,master - 0 0 1 connected 0-5\n\
                        b 127.0.0.1:5@6 slave a 0 0 1 connected\nvars currentEpoch 1\n";
        assert_eq!(moved(text, &old, &new), expected);
    }
}
