//! The metadata as a stream. It is drawn by the caller: a slow one simply falls behind, and
//! continues with a snapshot.

use std::sync::Arc;

use async_stream::stream;
use futures::Stream;
use tonic::Status;
use types::Revision;
use wire::to_status;
use wire::v1::coordinator::WatchMetadataResponse;

use super::Rpc;
use crate::feed::{Due, snapshot};
use crate::request::{Request, RequestError};

impl Rpc {
    /// Everything after `after`, from a state that holds at least what was certain when this was
    /// called.
    pub(super) async fn watch(
        &self,
        after: Revision,
    ) -> Result<
        impl Stream<Item = Result<WatchMetadataResponse, Status>> + Send + 'static + use<>,
        RequestError,
    > {
        let held = self.ask(|reply| Request::Barrier { reply }).await?;
        if held < after {
            return Err(RequestError::Ahead { asked: after, held });
        }
        let (feed, stop) = (Arc::clone(&self.feed), self.stop.clone());
        Ok(stream! {
            let mut changed = feed.subscribe();
            let mut last = after;
            loop {
                // Before looking, so that no change in between is missed.
                changed.mark_unchanged();
                let next = match feed.after(last) {
                    Due::Change(change) => WatchMetadataResponse::clone(&change),
                    Due::Snapshot(image) => snapshot(&image),
                    Due::NotLeading => {
                        yield Err(to_status(&RequestError::NotLeader));
                        return;
                    }
                    Due::Nothing => {
                        tokio::select! {
                            _ = changed.changed() => continue,
                            () = stop.cancelled() => {
                                yield Err(to_status(&RequestError::ShuttingDown));
                                return;
                            }
                        }
                    }
                };
                last = Revision::new(next.revision);
                yield Ok(next);
            }
        })
    }
}
