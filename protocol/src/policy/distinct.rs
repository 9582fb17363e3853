//! Lists and objects in which nothing comes twice. Serde's own sets and maps let the last one win,
//! and then a reader of the text may see another policy than the enclave.

use std::{collections::BTreeMap, collections::BTreeSet, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

/// A list in which each entry comes once.
pub(super) fn set<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(
    deserializer: D,
) -> Result<BTreeSet<T>, D::Error> {
    once(Vec::deserialize(deserializer)?)
}

fn once<T: Ord, E: serde::de::Error>(entries: Vec<T>) -> Result<BTreeSet<T>, E> {
    let count = entries.len();
    let set: BTreeSet<T> = entries.into_iter().collect();
    if set.len() == count { Ok(set) } else { Err(E::custom("each entry once was expected")) }
}

/// The same, for a field that may be absent, or null.
pub(super) fn optional_set<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(
    deserializer: D,
) -> Result<Option<BTreeSet<T>>, D::Error> {
    Option::deserialize(deserializer)?.map(once).transpose()
}

/// An object in which each name comes once.
pub(super) fn map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    struct Object<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Object<K, V> {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object in which each name comes once")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry()? {
                if map.insert(name, value).is_some() {
                    return Err(A::Error::custom("each name once was expected"));
                }
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}
