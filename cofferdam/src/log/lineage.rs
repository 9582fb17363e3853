//! How boots follow each other. Each boot's first entry names the last state of the log that the
//! parent showed it: together they must be one line without forks, from one first boot on.
//!
//! A boot that signed nothing, and that no signing boot continues, proves nothing either way: a
//! crash between its first entry and its first checkpoint leaves one. It may stand beside the line.

use std::collections::HashMap;

use attestation::DocumentHash;
use protocol::log::Head;

use verifier::Refused;

/// A boot with at least one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) boot: DocumentHash,
    pub(super) previous: Option<Head>,
    /// The last entry that a checkpoint covers.
    pub(super) signed: Option<u64>,
}

/// The order of the boots, as positions in `nodes`: every boot after the one that it continues.
pub(super) fn order(nodes: &[Node], allow_roots: usize) -> Result<Vec<usize>, Refused> {
    let by_name: HashMap<DocumentHash, usize> =
        nodes.iter().enumerate().map(|(at, node)| (node.boot, at)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut roots = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let Some(previous) = node.previous else {
            roots.push(at);
            continue;
        };
        let parent = by_name.get(&previous.boot).copied();
        let Some((parent, before)) = parent.and_then(|at| Some((at, nodes.get(at)?))) else {
            let text = format!(
                "the boot {} is missing: boot {} continues its entry {}",
                previous.boot, node.boot, previous.seq
            );
            return Err(Refused::new("missing", text));
        };
        if let Some(signed) = before.signed.filter(|signed| previous.seq < *signed) {
            let text = format!(
                "the log was rolled back: boot {} continues entry {} of boot {}, which had signed entry {signed}",
                node.boot, previous.seq, previous.boot
            );
            return Err(Refused::new("rollback", text));
        }
        if let Some(siblings) = children.get_mut(parent) {
            siblings.push(at);
        }
    }
    let order = walk(&roots, &children);
    if order.len() < nodes.len() {
        return Err(Refused::new(
            "fork",
            "a first boot was expected before all others: these follow in a circle",
        ));
    }
    let anchored = anchored(nodes, &order, &children);
    let signs = |at: &&usize| anchored.get(**at).copied().unwrap_or_default();
    let name = |at: &usize| nodes.get(*at).map_or(String::new(), |node| node.boot.to_string());
    for (at, siblings) in children.iter().enumerate() {
        let forks: Vec<String> = siblings.iter().filter(signs).map(name).collect();
        if forks.len() > 1 {
            let text =
                format!("the log was forked: boot {} is continued by {}", name(&at), forks.join(" and by "));
            return Err(Refused::new("fork", text));
        }
    }
    let firsts: Vec<String> = roots.iter().filter(signs).map(name).collect();
    if firsts.len() > allow_roots {
        let text =
            format!("{allow_roots} first boot was expected, found {}: {}", firsts.len(), firsts.join(", "));
        return Err(Refused::new("roots", text));
    }
    Ok(order)
}

/// Every boot that the roots lead to, parents first.
fn walk(roots: &[usize], children: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut open: Vec<usize> = roots.iter().rev().copied().collect();
    while let Some(at) = open.pop() {
        order.push(at);
        open.extend(children.get(at).into_iter().flatten().rev());
    }
    order
}

/// Which boots signed something, or are continued by one that did.
fn anchored(nodes: &[Node], order: &[usize], children: &[Vec<usize>]) -> Vec<bool> {
    let mut anchored = vec![false; nodes.len()];
    for at in order.iter().rev() {
        let signed = nodes.get(*at).is_some_and(|node| node.signed.is_some());
        let below = children.get(*at).into_iter().flatten().any(|child| anchored.get(*child) == Some(&true));
        if let Some(slot) = anchored.get_mut(*at) {
            *slot = signed || below;
        }
    }
    anchored
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::log::EntryHash;

    fn boot(name: u8) -> DocumentHash {
        DocumentHash::of(&[name])
    }

    /// A boot that signed up to `signed` (0: nothing) and continues `(boot, entry)`.
    fn node(name: u8, previous: Option<(u8, u64)>, signed: u64) -> Node {
        let previous = previous.map(|(name, seq)| Head { boot: boot(name), seq, hash: EntryHash::START });
        Node { boot: boot(name), previous, signed: (signed > 0).then_some(signed) }
    }

    fn check(nodes: &[Node]) -> &'static str {
        order(nodes, 1).map_or_else(|refused| refused.check, |_| "ok")
    }

    #[test]
    fn boots_in_a_line_are_put_in_order() {
        let nodes = [node(3, Some((2, 7)), 1), node(1, None, 5), node(2, Some((1, 6)), 7)];
        assert_eq!(order(&nodes, 1).unwrap(), [1, 2, 0]);
        assert!(order(&[], 1).unwrap().is_empty());
    }

    #[test]
    fn a_successor_of_an_older_entry_than_was_signed_is_a_rollback() {
        assert_eq!(check(&[node(1, None, 5), node(2, Some((1, 4)), 1)]), "rollback");
        assert_eq!(check(&[node(1, None, 5), node(2, Some((1, 5)), 1)]), "ok");
    }

    #[test]
    fn two_successors_are_a_fork_unless_one_signed_nothing() {
        let fork =
            |signed| check(&[node(1, None, 5), node(2, Some((1, 5)), 1), node(3, Some((1, 5)), signed)]);
        assert_eq!(fork(1), "fork");
        assert_eq!(fork(0), "ok");
        // One that signed nothing, but whose successor did, is in the line.
        let nodes =
            [node(1, None, 5), node(2, Some((1, 5)), 1), node(3, Some((1, 5)), 0), node(4, Some((3, 1)), 1)];
        assert_eq!(check(&nodes), "fork");
    }

    #[test]
    fn more_first_boots_than_allowed_and_missing_ones_are_errors() {
        let two = [node(1, None, 5), node(2, None, 1)];
        assert_eq!(check(&two), "roots");
        assert!(order(&two, 2).is_ok());
        assert_eq!(check(&[node(1, None, 5), node(2, None, 0)]), "ok");
        assert_eq!(check(&[node(1, None, 5), node(3, Some((2, 1)), 1)]), "missing");
        assert_eq!(check(&[node(1, Some((2, 9)), 5), node(2, Some((1, 9)), 5)]), "fork");
    }
}
