//! Idempotency receipts: what a repeated request is answered with.

use serde::{Deserialize, Serialize};

use crate::cluster::Revision;
use crate::name::{IdempotencyKey, Namespace, Subject};
use crate::time::Timestamp;

/// How long a receipt is kept: 24 hours.
pub const RECEIPT_LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// How many receipts a subject may have; the oldest go first.
pub const RECEIPTS_PER_SUBJECT: usize = 1_000;

/// What an idempotency key is unique within.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReceiptKey {
    /// Who asked.
    pub subject: Subject,
    /// For which action.
    pub action: String,
    /// In which namespace; `None`: cluster-wide.
    pub namespace: Option<Namespace>,
    /// The caller's key.
    pub key: IdempotencyKey,
}

/// A keyed digest of a request: the same request again has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestDigest(pub [u8; 32]);

/// Proof that a request was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What it answers to.
    pub key: ReceiptKey,
    /// Of the request that was carried out.
    pub digest: RequestDigest,
    /// The object that it made or changed, in text.
    pub object: String,
    /// The revision that it was committed at.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
}
