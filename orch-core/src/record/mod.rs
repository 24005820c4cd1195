//! What is kept beside the state: events for people, audit for the auditor, receipts for those who ask twice.

pub mod audit;
pub mod event;
pub mod receipt;
pub mod remark;

pub use audit::{ActorType, AuditRecord, Outcome};
pub use event::{Event, EventKind, RelatedObject, Severity};
pub use receipt::{Receipt, ReceiptKey, RequestDigest};
pub use remark::Remark;
