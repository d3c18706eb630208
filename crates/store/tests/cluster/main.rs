//! The cluster stores of this crate: the contract on the reference, and the file.

// Clippy takes the fixtures of tests for something else.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod contract;
mod rules;
mod static_file;

mod memory {
    //! The contract on the reference.

    use model::NodeName;
    use store::cluster::{ClusterStore, Memory, SILENT_GRACE_SECS};

    use crate::contract::{Ground, NOW};

    #[derive(Default)]
    struct Room(Memory);

    impl Ground for Room {
        fn open(&self) -> Box<dyn ClusterStore> {
            Box::new(self.0.clone())
        }

        fn after_the_grace(&self, _: &NodeName) -> u64 {
            NOW + SILENT_GRACE_SECS + 1
        }
    }

    contract!(Room::default());
}
