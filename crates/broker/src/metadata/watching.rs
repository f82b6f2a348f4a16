use std::sync::Arc;
use std::time::Duration;

use cluster::{ImageError, MetadataImage};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{info, warn};
use types::Revision;
use wire::convert::{delta_from_proto, image_from_proto};
use wire::v1::coordinator::watch_metadata_response::Content;
use wire::v1::coordinator::{WatchMetadataRequest, WatchMetadataResponse};
use wire::{InvalidMessage, from_status};

use super::{Followed, Follower};
use crate::coordinator::{Client, CoordinatorError, Coordinators};

/// How long the coordinator may take to begin a watch.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a watch that broke is begun again.
const BACKOFF: Duration = Duration::from_millis(200);

/// Pause before what the disk refused is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Why a watch ended.
#[derive(Debug, Error)]
enum WatchError {
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
    #[error("the coordinator sent metadata that cannot be: {0}")]
    Message(#[from] InvalidMessage),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the coordinator ended the watch")]
    Ended,
}

/// Follows the metadata until `leaving`, then ends all leaderships. `floor` is the revision of
/// this broker's registration.
///
/// A coordinator that has just started, or just been elected, may not have applied everything
/// yet: in what it shows, topics may be missing that exist. Only metadata that has this broker's
/// registration in it, and is not older than what was seen before, is carried out; else logs
/// could be removed that are still wanted.
pub(crate) async fn watch_metadata(
    mut follower: Follower,
    coordinators: Arc<Coordinators>,
    mut floor: watch::Receiver<Option<Revision>>,
    leaving: CancellationToken,
) {
    let mut image = MetadataImage::new();
    loop {
        let watched =
            watch_once(&mut follower, &mut image, &coordinators, &mut floor, &leaving).await;
        let Err(error) = watched else { break };
        match error {
            // Begin again with a snapshot.
            WatchError::Image(_) | WatchError::Message(_) => image = MetadataImage::new(),
            WatchError::Coordinator(_) | WatchError::Ended => {}
        }
        warn!(error = &error as &dyn std::error::Error, "metadata watch broke");
        if leaving.run_until_cancelled(sleep(BACKOFF)).await.is_none() {
            break;
        }
    }
    follower.resign().await;
}

/// One watch, from where `image` is. `Ok` when the broker is leaving: that cuts it off only
/// between two changes, and one that was begun is carried out.
async fn watch_once(
    follower: &mut Follower,
    image: &mut MetadataImage,
    coordinators: &Coordinators,
    floor: &mut watch::Receiver<Option<Revision>>,
    leaving: &CancellationToken,
) -> Result<(), WatchError> {
    let after = image.revision();
    let request = WatchMetadataRequest { after_revision: after.get() };
    let call = |mut client: Client| async move { client.watch_metadata(request).await };
    let begun = leaving.run_until_cancelled(coordinators.call(WATCH_PATIENCE, call)).await;
    let Some(changes) = begun else { return Ok(()) };
    let mut changes = changes?;
    info!(revision = after.get(), "metadata watch began");
    loop {
        tokio::select! {
            () = leaving.cancelled() => return Ok(()),
            () = sleep(RETRY), if follower.followed() == Followed::Partly => {
                follower.follow(follower.image()).await;
                continue;
            }
            message = next(&mut changes) => apply(image, message?)?,
            // What was shown before the registration was answered may count now.
            Ok(()) = floor.changed() => {}
        }
        let registered = *floor.borrow();
        if is_news(image.revision(), registered, follower.revision()) {
            follower.follow(image.clone()).await;
        }
    }
}

/// Whether metadata of revision `shown` may be carried out after that of `followed`, by a broker
/// that was registered at `registered`.
fn is_news(shown: Revision, registered: Option<Revision>, followed: Revision) -> bool {
    registered.is_some_and(|registered| registered <= shown) && followed < shown
}

async fn next(
    changes: &mut Streaming<WatchMetadataResponse>,
) -> Result<WatchMetadataResponse, WatchError> {
    match changes.message().await {
        Ok(message) => message.ok_or(WatchError::Ended),
        Err(status) => Err(CoordinatorError::Refused(from_status(&status)).into()),
    }
}

fn apply(image: &mut MetadataImage, message: WatchMetadataResponse) -> Result<(), WatchError> {
    let revision = Revision::new(message.revision);
    match wire::convert::required(message.content, "content")? {
        Content::Snapshot(snapshot) => *image = image_from_proto(revision, snapshot)?,
        Content::Delta(delta) => image.apply(revision, &delta_from_proto(delta)?)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_followed_forwards_only_and_not_before_the_registration_is_in_it() {
        let [before, registered, after] = [4, 5, 6].map(Revision::new);
        assert!(!is_news(after, None, Revision::ZERO));
        assert!(!is_news(before, Some(registered), Revision::ZERO));
        assert!(is_news(registered, Some(registered), Revision::ZERO));
        assert!(is_news(after, Some(registered), registered));
        assert!(!is_news(registered, Some(registered), after));
    }
}
