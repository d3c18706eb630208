//! A change as one transaction: what must hold, and what is done then. It is made whole, or not.

use model::NodeName;
use serde::Serialize;

use crate::error::Fault;
use crate::keys::{Key, Keys};
use crate::record::print;
use crate::wire::{
    Compare, CompareResult, CompareTarget, Compared, DeleteRequest, Op, PutRequest, RangeRequest,
    RequestOp, TxnRequest,
};

/// How many operations a transaction has at most; etcd takes 128 (`--max-txn-ops`).
pub const OPS_MAX: usize = 100;

/// A transaction in the making.
pub struct Change {
    keys: Keys,
    request: TxnRequest,
}

impl Change {
    pub fn new(keys: &Keys) -> Self {
        Self {
            keys: keys.clone(),
            request: TxnRequest::default(),
        }
    }

    pub fn into_request(self) -> TxnRequest {
        self.request
    }

    /// Where there is no such key.
    pub fn if_absent(self, key: &Key) -> Self {
        let key = self.keys.bytes(key);
        self.if_none_in((key, Vec::new()))
    }

    /// Where there is no key of this range.
    pub fn if_none_in(mut self, (key, range_end): (Vec<u8>, Vec<u8>)) -> Self {
        self.request.compare.push(Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::CreateRevision.into(),
            key,
            compared: Some(Compared::CreateRevision(0)),
            range_end,
        });
        self
    }

    /// Where the key is as it was when its last change was of this revision.
    pub fn if_unchanged(mut self, key: &Key, mod_revision: i64) -> Self {
        self.request.compare.push(Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::ModRevision.into(),
            key: self.keys.bytes(key),
            compared: Some(Compared::ModRevision(mod_revision)),
            range_end: Vec::new(),
        });
        self
    }

    /// Where no key of this range was written behind `revision`; some may have been deleted.
    pub fn if_none_newer(mut self, (key, range_end): (Vec<u8>, Vec<u8>), revision: i64) -> Self {
        self.request.compare.push(Compare {
            result: CompareResult::Less.into(),
            target: CompareTarget::ModRevision.into(),
            key,
            compared: Some(Compared::ModRevision(revision + 1)),
            range_end,
        });
        self
    }

    pub fn put(self, key: &Key, record: &impl Serialize) -> Result<Self, Fault> {
        self.put_leased(key, record, 0)
    }

    /// The key goes with the lease; with 0, it stays.
    pub fn put_leased(
        mut self,
        key: &Key,
        record: &impl Serialize,
        lease: i64,
    ) -> Result<Self, Fault> {
        let put = PutRequest {
            key: self.keys.bytes(key),
            value: print(record)?,
            lease,
        };
        self.then(Op::Put(put));
        Ok(self)
    }

    pub fn delete(mut self, key: &Key) -> Self {
        let delete = DeleteRequest {
            key: self.keys.bytes(key),
        };
        self.then(Op::Delete(delete));
        self
    }

    fn then(&mut self, op: Op) {
        self.request.success.push(RequestOp { request: Some(op) });
    }
}

/// Reads a node's own two keys at one revision.
pub fn own_keys(keys: &Keys, name: &NodeName) -> TxnRequest {
    let read = |key: Key| RequestOp {
        request: Some(Op::Range(RangeRequest {
            key: keys.bytes(&key),
            range_end: Vec::new(),
        })),
    };
    TxnRequest {
        compare: Vec::new(),
        success: vec![
            read(Key::Node(name.clone())),
            read(Key::Alive(name.clone())),
        ],
    }
}
