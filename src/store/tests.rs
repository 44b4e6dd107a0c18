//! What no other store can be made to do from outside: documents that nobody could have written, in memory.

use super::documents::{self, Generation, Key};
use super::raw::{Draft, Mutation};
use super::*;

impl Store {
    /// Puts down what no save would.
    pub(super) fn plant(&self, (address, draft): (Address, Draft)) {
        let Backend::Memory(memory) = &self.backend else {
            panic!("only in memory");
        };
        memory.change(vec![(address, Mutation::Put(draft))]);
    }
}

pub(super) fn garbage<D>(key: &Key<D>, version: u32, body: &[u8]) -> (Address, Draft) {
    let draft = Draft {
        revision: Revision::fresh(),
        version,
        body: body.to_vec(),
        lifetime: None,
    };
    (address(key), draft)
}

#[tokio::test]
async fn what_cannot_be_understood_is_absent_and_can_be_replaced() {
    let store = Store::memory();
    let key = documents::generation();
    let sound = Generation {
        number: 1,
        fingerprint: "f".to_owned(),
    };
    let sound_body = serde_json::to_vec(&sound).unwrap();
    let cases: [(u32, &[u8]); 6] = [
        (0, &sound_body),
        (2, &sound_body),
        (1, b""),
        (1, b"{\"number\": 1"),
        (1, b"\xff\xfe"),
        (1, b"[]"),
    ];
    for (version, body) in cases {
        store.plant(garbage(&key, version, body));
        let found = store.load(&key).await.unwrap();
        assert_eq!(found.value, None, "{version} {body:?}");
        assert_eq!(store.take_unreadable(), ["mapping/generation"]);
        assert_eq!(store.take_unreadable(), [""; 0]);
        let refused = store.save(&key, &sound, Revision::ABSENT).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })));
        store.save(&key, &sound, found.revision).await.unwrap();
        let found = store.load(&key).await.unwrap();
        assert_eq!(found.value.as_ref(), Some(&sound));
        assert_eq!(store.take_unreadable(), [""; 0]);
    }
}
