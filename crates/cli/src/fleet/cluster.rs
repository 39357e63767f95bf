//! Six servers become a cluster: who meets whom, who keeps which keys, who follows whom. Afterwards
//! they know it themselves.

use std::path::PathBuf;
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

/// Writes the ports of `nodes` into what the servers in `homes` know of each other. They are told
/// by their ids, so that it does not matter which ports are there: those of the last start, or of
/// one that was cut short while it wrote them.
pub(crate) fn move_ports(homes: &[PathBuf], nodes: &[Node]) -> Result<()> {
    let files: Vec<PathBuf> = homes.iter().map(|home| home.join("nodes.conf")).collect();
    let texts: Vec<String> =
        files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect();
    let known: Vec<(&str, &Node)> =
        texts.iter().zip(nodes).filter_map(|(text, node)| Some((id_of(text)?, node))).collect();
    for (file, text) in files.iter().zip(&texts) {
        let moved = moved(text, &known);
        if moved != *text {
            write_private(file, &moved)?;
        }
    }
    Ok(())
}

/// The id of the server whose knowledge this is.
fn id_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (id, flags) = (fields.next()?, fields.nth(1)?);
        flags.split(',').any(|flag| flag == "myself").then_some(id)
    })
}

fn moved(text: &str, known: &[(&str, &Node)]) -> String {
    let line = |line| moved_line(line, known).unwrap_or_else(|| line.to_owned());
    text.split_inclusive('\n').map(line).collect()
}

/// A line names a server as `id host:port@bus[,…] …`.
fn moved_line(line: &str, known: &[(&str, &Node)]) -> Option<String> {
    let (id, rest) = line.split_once(' ')?;
    let (_, node) = known.iter().find(|(known, _)| *known == id)?;
    let (place, rest) = rest.split_once(' ')?;
    let (address, more) = place.split_at(place.find(',').unwrap_or(place.len()));
    let (host, _) = address.rsplit_once(':')?;
    Some(format!("{id} {host}:{}@{}{more} {rest}", node.port, node.bus))
}

#[cfg(test)]
mod tests {
    use tasktonic_testkit::Scratch;

    use super::*;

    /// What server `own` knows, with these ports.
    fn knowledge(own: usize, nodes: &[Node]) -> String {
        let line = |(at, node): (usize, &Node)| {
            let me = if at == own { "myself," } else { "" };
            let Node { port, bus } = node;
            format!("id{at} 127.0.0.1:{port}@{bus},,shard-id=x {me}master - 0 0 1 connected {at}\n")
        };
        let lines: String = nodes.iter().enumerate().map(line).collect();
        format!("{lines}other 127.0.0.1:9@10 slave id0 0 0 1 connected\nvars currentEpoch 1\n")
    }

    fn nodes(ports: &[u16]) -> Vec<Node> {
        ports.iter().map(|port| Node { port: *port, bus: port + 10_000 }).collect()
    }

    #[test]
    fn ports_move_also_where_old_and_new_overlap_or_a_start_was_cut_short() {
        let (old, lost, new) = (nodes(&[1, 2, 3]), nodes(&[4, 5, 1]), nodes(&[2, 3, 4]));
        for cut_after in 0..=3 {
            let scratch = Scratch::new();
            let homes: Vec<PathBuf> = (0..3).map(|at| scratch.join(at.to_string())).collect();
            for (at, home) in homes.iter().enumerate() {
                let known = if at < cut_after { &lost } else { &old };
                std::fs::create_dir(home).unwrap();
                std::fs::write(home.join("nodes.conf"), knowledge(at, known)).unwrap();
            }
            move_ports(&homes, &new).unwrap();
            for (at, home) in homes.iter().enumerate() {
                let text = std::fs::read_to_string(home.join("nodes.conf")).unwrap();
                assert_eq!(text, knowledge(at, &new), "cut short after {cut_after}");
            }
        }
    }

    #[test]
    fn where_nothing_is_known_yet_nothing_is_written() {
        let scratch = Scratch::new();
        let home = scratch.join("1");
        move_ports(std::slice::from_ref(&home), &nodes(&[1])).unwrap();
        assert!(!home.exists());
    }
}
