//! The chain of trust as a drawing: once for wide screens and paper, once for phones.

use attestation::PcrIndex;

use super::{escape::text, look};
use crate::audit::report::{Report, Section, SectionId, Verdict};

/// Size of a box.
const BOX: (u32, u32) = (194, 76);
/// How much of a hash fits into a box.
const HASH: usize = 12;

/// A box: its name, what stands below it, and how its link was shown.
struct Node {
    name: &'static str,
    below: String,
    verdict: Verdict,
    /// The verdict in words.
    answer: &'static str,
}

/// The boxes, in the order of reading.
struct Nodes {
    root: Node,
    program: Node,
    session: Node,
    addresses: Node,
    log: Node,
    image: Node,
    rules: Node,
    kms: Node,
    store: Node,
}

impl Nodes {
    fn of(report: &Report) -> Self {
        let verdict = |id| report.section(id).map_or(Verdict::NotLookedAt, |section| section.verdict);
        let answer = |id| report.section(id).map_or("", Section::answer);
        let fact = |id, name: &str| {
            let section = report.section(id)?;
            let found = section.evidence.iter().find(|fact| fact.name.starts_with(name))?;
            Some(found.value.clone())
        };
        let short = |value: Option<String>| value.map_or(String::new(), |value| cut(&value));
        let node = |name, below, id| Node { name, below, verdict: verdict(id), answer: answer(id) };
        let enclave = SectionId::Enclave;
        let pcr0 = format!("PCR{}", PcrIndex::IMAGE);
        let aws = report.about.root.as_ref().is_some_and(|root| root.aws);
        let root = if aws { "AWS Nitro root" } else { "Given root" };
        Self {
            root: node(root, short(fact(enclave, "Root certificate")), enclave),
            program: node("Running program", short(fact(enclave, &pcr0)), enclave),
            session: node("Session key", short(fact(enclave, "Session key")), enclave),
            addresses: node(
                "Addresses",
                fact(SectionId::Addresses, "Drawn")
                    .and_then(|text| text.split(" addresses").next().map(|count| format!("{count} checked")))
                    .unwrap_or_default(),
                SectionId::Addresses,
            ),
            log: node(
                "Log",
                fact(SectionId::Log, "Entries").map_or(String::new(), |count| format!("{count} entries")),
                SectionId::Log,
            ),
            image: node("Rebuilt image", short(fact(SectionId::Image, &pcr0)), SectionId::Image),
            rules: node(
                "Operators' rules",
                fact(SectionId::Policy, "Version")
                    .map_or(String::new(), |version| format!("version {version}")),
                SectionId::Policy,
            ),
            kms: node("KMS key", "and its policy".to_owned(), SectionId::KeyPolicy),
            store: node("Storage", "sealed records".to_owned(), SectionId::Bucket),
        }
    }

    const fn all(&self) -> [&Node; 9] {
        let Self { root, program, session, addresses, log, image, rules, kms, store } = self;
        [root, program, session, addresses, log, image, rules, kms, store]
    }

    /// The same for those who do not see it.
    fn told(&self) -> String {
        let told = self.all().map(|node| format!("{}: {}", node.name, node.answer.to_lowercase()));
        format!("{}.", told.join("; "))
    }
}

/// Both drawings; the style shows one.
pub(super) fn figures(report: &Report) -> String {
    let nodes = Nodes::of(report);
    wide(&nodes) + &narrow(&nodes)
}

/// Four columns.
fn wide(nodes: &Nodes) -> String {
    let column = |at: u32| 2 + at * 261;
    let row = |at: u32| 2 + at * 126;
    let places = [
        (&nodes.root, 0, 0),
        (&nodes.program, 1, 0),
        (&nodes.session, 2, 0),
        (&nodes.addresses, 3, 0),
        (&nodes.log, 3, 1),
        (&nodes.image, 0, 1),
        (&nodes.rules, 1, 1),
        (&nodes.kms, 2, 1),
        (&nodes.store, 2, 2),
    ];
    let boxes: String = places.iter().map(|(node, x, y)| draw(node, column(*x), row(*y))).collect();
    let lines = [
        arrow("M196 40 H263", "vouches for", (229, 31)),
        arrow("M457 40 H524", "holds", (489, 31)),
        arrow("M718 40 H785", "signs", (750, 31)),
        arrow("M751 40 V166 H785", "", (0, 0)),
        arrow("M99 128 V103 H304 V78", "is the same as", (201, 96)),
        arrow("M360 128 V78", "governs", (388, 120)),
        arrow("M621 128 V103 H416 V78", "unlocks only for", (519, 96)),
        arrow("M621 254 V204", "sealed under", (664, 234)),
    ];
    svg("wide", (981, 334), &nodes.told(), &(lines.concat() + &boxes))
}

/// One column: the chain, then what guards the program.
fn narrow(nodes: &Nodes) -> String {
    let row = |at: u32| 2 + at * 104;
    let left = 56;
    let mut parts = String::new();
    let chain = [&nodes.root, &nodes.program, &nodes.session, &nodes.addresses, &nodes.log];
    for (at, words) in (0..).zip(["vouches for", "holds", "signs"]) {
        let path = format!("M153 {} V{}", row(at) + BOX.1, row(at + 1));
        parts.push_str(&arrow(&path, words, (196, row(at) + BOX.1 + 18)));
    }
    let (key, log) = (row(2) + BOX.1 / 2, row(4) + BOX.1 / 2);
    parts.push_str(&arrow(&format!("M250 {key} H274 V{log} H250"), "", (0, 0)));
    let guards = [&nodes.image, &nodes.rules, &nodes.kms, &nodes.store];
    let program = row(1) + BOX.1 / 2;
    for at in 5..8 {
        parts.push_str(&arrow(&format!("M56 {} H24 V{program} H56", row(at) + BOX.1 / 2), "", (0, 0)));
    }
    parts.push_str(&arrow(&format!("M153 {} V{}", row(8), row(7) + BOX.1), "", (0, 0)));
    for (at, node) in (0..).zip(chain.iter().chain(&guards)) {
        parts.push_str(&draw(node, left, row(at)));
    }
    svg("narrow", (284, row(8) + BOX.1 + 2), &nodes.told(), &parts)
}

fn svg(class: &str, (width, height): (u32, u32), told: &str, content: &str) -> String {
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"chain-{class}\">\n\
         <title id=\"chain-{class}\">The chain of trust. {}</title>\n\
         <defs><marker id=\"tip-{class}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path class=\"tip\" d=\"M0 0 L8 4 L0 8 Z\"/></marker></defs>\n{}</svg>\n",
        text(told),
        content.replace("TIP", &format!("tip-{class}"))
    )
}

fn arrow(path: &str, words: &str, (x, y): (u32, u32)) -> String {
    let line = format!("<path class=\"line\" d=\"{path}\" marker-end=\"url(#TIP)\"/>\n");
    match words {
        "" => line,
        words => format!("{line}<text class=\"words\" x=\"{x}\" y=\"{y}\">{words}</text>\n"),
    }
}

fn draw(node: &Node, x: u32, y: u32) -> String {
    let (class, mark) = look(node.verdict);
    let (width, height) = BOX;
    let (middle, text_at) = (y + height / 2, x + 50);
    format!(
        "<g class=\"node {class}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\
         <circle cx=\"{}\" cy=\"{middle}\" r=\"14\"/><text class=\"glyph\" x=\"{}\" y=\"{}\">{mark}</text>\
         <text class=\"name\" x=\"{text_at}\" y=\"{}\">{}</text><text class=\"below\" x=\"{text_at}\" y=\"{}\">{}</text>\
         <text class=\"state\" x=\"{text_at}\" y=\"{}\">{}</text></g>\n",
        x + 26,
        x + 26,
        middle + 6,
        y + 26,
        text(node.name),
        y + 44,
        text(&node.below),
        y + 62,
        node.answer
    )
}

/// The beginning of a hash.
fn cut(value: &str) -> String {
    let value = value.strip_prefix("ed25519:").unwrap_or(value);
    let mut short: String = value.chars().take(HASH).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}
