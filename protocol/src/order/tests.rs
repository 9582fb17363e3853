use super::*;
use crate::policy::MAX_ENTRIES;
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
    assert_eq!(order.id(), OrderId::from_payload(&payload));
    order
}

fn all_kinds() -> [Restriction; 6] {
    let alice = path("alice", Chain::Evm, 0);
    let replacement = NewKey::new(path("alice", Chain::Evm, 1), None);
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
        let restriction =
            Restriction::RetireKey { key_id: id(&alice), replacement: Some(NewKey::new(other, None)) };
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
    assert_eq!(replacement.unwrap().path(), path("alice", Chain::Evm, 1));
    assert!(set.retired(&id(&alice), |_| true).is_none());
}

fn freeze(index: u64) -> Order {
    order(&Restriction::FreezeKey { key_id: id(&path("alice", Chain::Evm, index)) })
}

fn retire(index: u64) -> Order {
    order(&Restriction::RetireKey { key_id: id(&path("alice", Chain::Evm, index)), replacement: None })
}

fn freeze_all(reason: &str) -> Order {
    let (deployment, reason) = (DEPLOYMENT.parse().unwrap(), reason.parse().unwrap());
    Order::parse(&Order::payload(&deployment, &Restriction::FreezeAll, &reason, Timestamp::MAX)).unwrap()
}

/// All freezes and all retirements that there is room for.
fn full() -> OrderSet {
    let mut set = OrderSet::default();
    let orders = (0..MAX_RETIREMENTS as u64).map(retire).chain((0..MAX_ORDERS as u64).map(freeze));
    orders.for_each(|order| assert_eq!(set.apply(order, |_| false), Ok(true)));
    set
}

#[test]
fn a_full_set_still_takes_the_order_that_freezes_everything() {
    let mut set = full();
    let pause = order(&Restriction::PauseCrediting { chain: None });
    assert_eq!(set.apply(pause.clone(), |_| false), Err(TooManyOrders::Restrictions));
    assert_eq!(set.apply(freeze_all("drill"), |_| false), Ok(true));
    // And once more after a policy lifted that one.
    let again = freeze_all("again");
    assert_eq!(set.apply(again.clone(), |_| false), Err(TooManyOrders::Restrictions));
    assert_eq!(set.apply(again, |order| *order == freeze_all("drill").id()), Ok(true));
}

#[test]
fn retirements_and_freezes_take_no_room_from_each_other() {
    // Whichever came first.
    let mut set = full();
    assert_eq!(set.apply(retire(1 << 20), |_| false), Err(TooManyOrders::Retirements));
    assert_eq!(set.apply(freeze(1 << 20), |_| false), Err(TooManyOrders::Restrictions));
    let mut set = OrderSet::default();
    (0..MAX_ORDERS as u64).for_each(|index| assert_eq!(set.apply(freeze(index), |_| false), Ok(true)));
    assert_eq!(set.apply(retire(0), |_| false), Ok(true));
    assert_eq!(set.apply(retire(0), |_| false), Ok(false));
    assert_eq!(set.ids().count(), MAX_ORDERS + 1);
}

#[test]
fn orders_that_the_policy_lifts_take_no_room_and_are_not_forgotten() {
    let mut set = full();
    for kind in [freeze as fn(u64) -> Order, retire] {
        let lifted: Vec<OrderId> = (0..3).map(|index| kind(index).id()).collect();
        let lifts = |order: &OrderId| lifted.contains(order);
        for index in 0..3 {
            assert_eq!(set.apply(kind((1 << 20) + index), lifts), Ok(true));
        }
        assert!(set.apply(kind((1 << 20) + 3), lifts).is_err());
        // Given again it is no other order, and in force where a later policy does not lift it.
        assert_eq!(set.apply(kind(0), lifts), Ok(false));
    }
    let alice = path("alice", Chain::Evm, 0);
    assert_eq!(set.frozen(&alice, &id(&alice), |_| false), Some(&freeze(0).id()));
    assert!(set.retired(&id(&alice), |_| false).is_some());
}

#[test]
fn whatever_one_boot_took_the_next_one_takes_again_before_it_has_a_policy() {
    let mut set = full();
    // As many again as one policy can lift, and the one order more that a full set takes.
    let lifted: std::collections::BTreeSet<OrderId> =
        (0..MAX_ENTRIES as u64).map(|index| freeze(index).id()).collect();
    let more = (0..MAX_ENTRIES as u64).map(|index| freeze((1 << 20) + index));
    let taken: Vec<Order> = more.chain([freeze_all("drill")]).collect();
    let (told, given) = taken.split_at(MAX_ENTRIES - 3);
    for order in told {
        assert_eq!(set.replay(order.clone(), |order| lifted.contains(order)), Ok(true));
    }
    for order in given {
        assert_eq!(set.apply(order.clone(), |order| lifted.contains(order)), Ok(true));
    }
    assert_eq!(set.ids().count(), MAX_HELD + 1);
    let refused = set.apply(retire(1 << 20), |_| true);
    assert_eq!(refused, Err(TooManyOrders::Held));

    let mut next = OrderSet::default();
    let before = (0..MAX_ORDERS as u64).map(freeze).chain((0..MAX_RETIREMENTS as u64).map(retire));
    for order in before.chain(taken) {
        assert_eq!(next.replay(order, |_| false), Ok(true));
    }
    assert!(next.ids().eq(set.ids()));
    assert_eq!(next.replay(retire(1 << 20), |_| false), Err(TooManyOrders::Held));
}

proptest! {
    #[test]
    fn any_bytes_are_an_order_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Order::parse(&bytes);
    }
}
