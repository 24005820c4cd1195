//! For stores around stores: what happened is asked of the one within.

/// Implements [`History`](crate::store::History) for a type by what its field of that name answers.
#[macro_export]
macro_rules! history_of {
    ($outer:ty, $within:ident) => {
        #[$crate::testing::wrapped_store::async_trait]
        impl $crate::store::History for $outer {
            async fn events(
                &self,
                filter: &$crate::store::EventFilter,
            ) -> Result<Vec<$crate::record::Event>, $crate::store::StoreError> {
                self.$within.events(filter).await
            }

            async fn events_after(
                &self,
                after: $crate::store::EventSeq,
                filter: &$crate::store::EventFilter,
            ) -> Result<Vec<($crate::store::EventSeq, $crate::record::Event)>, $crate::store::StoreError>
            {
                self.$within.events_after(after, filter).await
            }

            async fn oldest_event(
                &self,
            ) -> Result<Option<$crate::store::EventSeq>, $crate::store::StoreError> {
                self.$within.oldest_event().await
            }

            async fn audit(
                &self,
                filter: &$crate::store::AuditFilter,
            ) -> Result<Vec<$crate::record::AuditRecord>, $crate::store::StoreError> {
                self.$within.audit(filter).await
            }
        }
    };
}

#[doc(hidden)]
pub use async_trait::async_trait;

pub use crate::history_of;
