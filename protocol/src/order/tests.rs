use super::*;
use proptest::prelude::*;

const DEPLOYMENT: &str = "laptop";

fn path(user: &str, chain: Chain, index: u64) -> KeyPath {
    KeyPath {
        user: user.parse().unwrap(),
        chain,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
    }
}

fn id(path: &KeyPath) -> KeyId {
    KeyId::derive(&DEPLOYMENT.parse().unwrap(), path)
}

fn order(restriction: &Restriction) -> Order {
    let payload = Order::payload(
        &DEPLOYMENT.parse().unwrap(),
        restriction,
        &"drill".parse().unwrap(),
        "2026-01-31T00:00:00Z".parse().unwrap(),
    );
    let order = Order::parse(&payload).unwrap();
    assert_eq!(order.restriction(), restriction);
    assert_eq!(order.id(), OrderId::of(&payload));
    order
}

fn all_kinds() -> [Restriction; 6] {
    let alice = path("alice", Chain::Evm, 0);
    let replacement = Replacement { path: path("alice", Chain::Evm, 1), label: None };
    [
        Restriction::FreezeAll,
        Restriction::FreezeChain { chain: Chain::Evm },
        Restriction::FreezeUser { user: alice.user.clone() },
        Restriction::FreezeKey { key_id: id(&alice) },
        Restriction::PauseCrediting { chain: None },
        Restriction::RetireKey { key_id: id(&alice), replacement: Some(replacement) },
    ]
}

#[test]
fn every_order_is_read_as_it_was_written_and_has_a_name_of_its_own() {
    let ids: std::collections::BTreeSet<_> = all_kinds().iter().map(|kind| order(kind).id()).collect();
    assert_eq!(ids.len(), 6);
    for id in ids {
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<OrderId>().is_err());
    }
}

#[test]
fn an_order_has_exactly_the_fields_of_its_type() {
    let text = |order: &str| {
        format!(
            r#"{{"v":1,"deployment":"laptop",{order},"reason":"drill","issued_at":"2026-01-31T00:00:00Z"}}"#
        )
    };
    assert!(Order::parse(text(r#""type":"freeze_all""#).as_bytes()).is_ok());
    for bad in [
        r#""type":"unfreeze_all""#,
        r#""type":"freeze_all","chain":"evm""#,
        r#""type":"freeze_chain""#,
        r#""type":"freeze_chain","chain":"doge""#,
        r#""type":"freeze_user","user":"a","key_id":null,"more":1"#,
        r#""type":"freeze_key""#,
        r#""type":"freeze_all","type":"freeze_all""#,
        r#""type":"retire_key""#,
    ] {
        assert_eq!(Order::parse(text(bad).as_bytes()).unwrap_err().tag(), "order.malformed", "{bad}");
    }
    assert!(Order::parse(text(r#""type":"freeze_all""#).replace("\"v\":1", "\"v\":2").as_bytes()).is_err());
    assert!(Order::parse(&[b' '; MAX_ORDER + 1]).is_err());
}

#[test]
fn a_replacement_is_the_next_index_of_the_same_key_and_nothing_else() {
    let alice = path("alice", Chain::Evm, 4);
    for (other, right) in [
        (path("alice", Chain::Evm, 5), true),
        (path("alice", Chain::Evm, 4), false),
        (path("alice", Chain::Evm, 6), false),
        (path("alice", Chain::Evm, 0), false),
        (path("mallory", Chain::Evm, 5), false),
        (path("alice", Chain::Tron, 5), false),
    ] {
        let restriction = Restriction::RetireKey {
            key_id: id(&alice),
            replacement: Some(Replacement { path: other, label: None }),
        };
        let payload = Order::payload(
            &DEPLOYMENT.parse().unwrap(),
            &restriction,
            &"drill".parse().unwrap(),
            Timestamp::MAX,
        );
        assert_eq!(Order::parse(&payload).is_ok(), right);
    }
}

#[test]
fn each_order_stops_what_it_names_until_it_is_lifted() {
    let (alice, bob) = (path("alice", Chain::Evm, 0), path("bob", Chain::Tron, 0));
    for kind in all_kinds().into_iter().take(4) {
        let mut set = OrderSet::default();
        let order = order(&kind);
        assert_eq!(set.apply(order.clone(), |_| false), Ok(true));
        assert_eq!(set.apply(order.clone(), |_| false), Ok(false));
        assert_eq!(set.frozen(&alice, &id(&alice), |_| false), Some(&order.id()));
        assert_eq!(set.frozen(&bob, &id(&bob), |_| false).is_some(), kind == Restriction::FreezeAll);
        assert_eq!(set.frozen(&alice, &id(&alice), |lifted| *lifted == order.id()), None);
    }
}

#[test]
fn crediting_and_retirement_are_told_apart_from_freezing() {
    let alice = path("alice", Chain::Evm, 0);
    let [.., pause, retire] = all_kinds();
    let mut set = OrderSet::default();
    set.apply(order(&pause), |_| false).unwrap();
    set.apply(order(&retire), |_| false).unwrap();
    assert_eq!(set.frozen(&alice, &id(&alice), |_| false), None);
    assert!(Chain::ALL.into_iter().all(|chain| set.crediting_paused(chain, |_| false).is_some()));
    let (_, replacement) = set.retired(&id(&alice), |_| false).unwrap();
    assert_eq!(replacement.unwrap().path, path("alice", Chain::Evm, 1));
    assert!(set.retired(&id(&alice), |_| true).is_none());
}

#[test]
fn a_full_set_still_takes_the_order_that_freezes_everything() {
    let mut set = OrderSet::default();
    for index in 0..MAX_ORDERS as u64 {
        let key_id = id(&path("alice", Chain::Evm, index));
        set.apply(order(&Restriction::FreezeKey { key_id }), |_| false).unwrap();
    }
    assert_eq!(set.apply(order(&Restriction::PauseCrediting { chain: None }), |_| false), Err(TooManyOrders));
    assert_eq!(set.apply(order(&Restriction::FreezeAll), |_| false), Ok(true));
    // And once more after a policy lifted that one.
    let payload = Order::payload(
        &DEPLOYMENT.parse().unwrap(),
        &Restriction::FreezeAll,
        &"again".parse().unwrap(),
        Timestamp::MAX,
    );
    let again = Order::parse(&payload).unwrap();
    assert_eq!(set.apply(again.clone(), |_| false), Err(TooManyOrders));
    assert_eq!(set.apply(again, |_| true), Ok(true));
}

proptest! {
    #[test]
    fn any_bytes_are_an_order_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Order::parse(&bytes);
    }
}
