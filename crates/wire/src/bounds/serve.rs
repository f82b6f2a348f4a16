use std::sync::Arc;

use futures::future::{join, try_join};
use tokio::sync::mpsc::{Receiver, channel};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use super::Bounds;
use super::budget::Budget;
use super::door::{Door, Rooms};
use super::entrance::Entrance;
use super::layer::{CarriesBatches, Counter, CounterLayer};
use super::purse::Purses;
use super::watch::{Register, Watch};
use crate::transport::{CONNECTION_WINDOW_BYTES, narrow_server, server};

/// Connections that were accepted and wait to be served.
const ACCEPTED: usize = 16;

/// Serves `routes` at all `entrances` together within `bounds` until `shutdown`, and then until every connection is done.
/// Handlers take the bytes of their answers from `purses`; `carries_batches` tells by their paths
/// which requests are long because they carry record batches.
///
/// # Errors
///
/// What tonic reports; nothing does at present.
pub async fn serve(
    routes: Routes,
    entrances: Vec<Entrance>,
    bounds: Bounds,
    purses: &Purses,
    carries_batches: fn(path: &str) -> bool,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let register = Register::default();
    let received = Budget::new(bounds.received_bytes);
    let wide = bounds.window_bytes / CONNECTION_WINDOW_BYTES as usize;
    let door = Door::new(bounds.connections, wide, bounds.connection_bytes, register.clone());
    let watch = Watch {
        register,
        answers: purses.answers().clone(),
        received: received.clone(),
        bounds,
        connections: Arc::clone(&door.places),
    };
    let layer = CounterLayer(Counter::new(bounds, received, CarriesBatches(carries_batches)));
    let routes = routes.prepare();
    let (wide, to_wide) = channel(ACCEPTED);
    let (narrow, to_narrow) = channel(ACCEPTED);
    let room = |server: Server, accepted: Receiver<_>| {
        let server = server.layer(layer.clone());
        let accepted = ReceiverStream::new(accepted);
        let ended = shutdown.clone().cancelled_owned();
        server.serve_with_incoming_shutdown(routes.clone(), accepted, ended)
    };
    let rooms = try_join(room(server(), to_wide), room(narrow_server(), to_narrow));
    let let_in = shutdown.run_until_cancelled(door.keep(entrances, Rooms { wide, narrow }));
    let done = CancellationToken::new();
    let serving = async {
        let (served, _) = join(rooms, let_in).await;
        done.cancel();
        served.map(|((), ())| ())
    };
    join(serving, watch.keep(&done)).await.0
}
