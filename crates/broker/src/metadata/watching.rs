use std::sync::Arc;
use std::time::Duration;

use cluster::{ImageError, MetadataImage};
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{info, warn};
use types::Revision;
use wire::convert::{delta_from_proto, image_from_proto};
use wire::v1::coordinator::watch_metadata_response::Content;
use wire::v1::coordinator::{WatchMetadataRequest, WatchMetadataResponse};
use wire::{InvalidMessage, from_status};

use super::Follower;
use crate::coordinator::{Client, CoordinatorError, Coordinators};

/// How long the coordinator may take to begin a watch.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a watch that broke is begun again.
const BACKOFF: Duration = Duration::from_millis(200);

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

/// Follows the metadata until `leaving`, then ends all leaderships.
pub(crate) async fn watch_metadata(
    mut follower: Follower,
    coordinators: Arc<Coordinators>,
    leaving: CancellationToken,
) {
    let mut after = Revision::ZERO;
    loop {
        // Cut off only between two changes: one that was begun is carried out.
        let Err(error) = watch_once(&mut follower, &coordinators, after, &leaving).await else {
            break;
        };
        after = match error {
            WatchError::Image(_) | WatchError::Message(_) => Revision::ZERO,
            WatchError::Coordinator(_) | WatchError::Ended => follower.image().revision(),
        };
        warn!(error = &error as &dyn std::error::Error, "metadata watch broke");
        if leaving.run_until_cancelled(sleep(BACKOFF)).await.is_none() {
            break;
        }
    }
    follower.resign().await;
}

/// One watch. `Ok` when the broker is leaving.
async fn watch_once(
    follower: &mut Follower,
    coordinators: &Coordinators,
    after: Revision,
    leaving: &CancellationToken,
) -> Result<(), WatchError> {
    let request = WatchMetadataRequest { after_revision: after.get() };
    let call = |mut client: Client| async move { client.watch_metadata(request).await };
    let begun = leaving.run_until_cancelled(coordinators.call(WATCH_PATIENCE, call)).await;
    let Some(changes) = begun else { return Ok(()) };
    let mut changes = changes?;
    info!(revision = after.get(), "metadata watch began");
    while let Some(message) = leaving.run_until_cancelled(next(&mut changes)).await {
        let image = applied(follower.image(), message?)?;
        follower.follow(image).await;
    }
    Ok(())
}

async fn next(
    changes: &mut Streaming<WatchMetadataResponse>,
) -> Result<WatchMetadataResponse, WatchError> {
    match changes.message().await {
        Ok(message) => message.ok_or(WatchError::Ended),
        Err(status) => Err(CoordinatorError::Refused(from_status(&status)).into()),
    }
}

fn applied(
    mut image: MetadataImage,
    message: WatchMetadataResponse,
) -> Result<MetadataImage, WatchError> {
    let revision = Revision::new(message.revision);
    match wire::convert::required(message.content, "content")? {
        Content::Snapshot(snapshot) => Ok(image_from_proto(revision, snapshot)?),
        Content::Delta(delta) => {
            image.apply(revision, &delta_from_proto(delta)?)?;
            Ok(image)
        }
    }
}
