use std::io;
use std::sync::Arc;
use std::time::Duration;

use cluster::ListenerName;
use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_stream::StreamExt;
use tracing::warn;

use super::connection::Connection;
use super::entrance::Entrance;
use super::peer::{Admitted, Peer};
use super::watch::Register;

/// Connections beyond the bound that are told so at once. More are closed without a word.
const BEYOND: usize = 64;
/// Pause after the system had no connection to give, for want of open files say.
const PAUSE: Duration = Duration::from_millis(100);

type Accepted = io::Result<Connection<TcpStream>>;

/// Lets connections in, as many as there may be.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) places: Arc<Semaphore>,
    beyond: Arc<Semaphore>,
    wide_windows: Arc<Semaphore>,
    connection_bytes: usize,
    register: Register,
}

/// Where connections go on to, by their windows.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) wide: Sender<Accepted>,
    pub(super) narrow: Sender<Accepted>,
}

impl Door {
    /// `wide` connections at a time get wide windows.
    pub(super) fn new(
        connections: usize,
        wide: usize,
        connection_bytes: usize,
        register: Register,
    ) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self {
            places: semaphore(connections.min(Semaphore::MAX_PERMITS)),
            beyond: semaphore(BEYOND),
            wide_windows: semaphore(wide.min(Semaphore::MAX_PERMITS)),
            connection_bytes,
            register,
        }
    }

    /// Lets in whoever comes, for as long as it is polled and the rooms are open.
    pub(super) async fn keep(self, entrances: Vec<Entrance>, rooms: Rooms) {
        join_all(entrances.into_iter().map(|entrance| self.keep_one(entrance, &rooms))).await;
    }

    async fn keep_one(&self, entrance: Entrance, rooms: &Rooms) {
        let Entrance { listener, mut incoming } = entrance;
        let mut exhausted = false;
        while let Some(accepted) = incoming.next().await {
            match accepted {
                Ok(socket) => {
                    exhausted = false;
                    if self.let_in(socket, listener.clone(), rooms).await.is_none() {
                        return;
                    }
                }
                // The client gave up before it was its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !exhausted {
                        warn!(error = %error, "no connection can be accepted: is the limit of open files (ulimit -n) too low?");
                    }
                    exhausted = true;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// `None` when there is nobody to serve it.
    async fn let_in(
        &self,
        socket: TcpStream,
        listener: Option<ListenerName>,
        rooms: &Rooms,
    ) -> Option<()> {
        let try_take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let (admitted, place) = if let Some(place) = try_take(&self.places) {
            (Admitted::Within, place)
        } else {
            self.register.refused();
            let Some(place) = try_take(&self.beyond) else { return Some(()) };
            (Admitted::Beyond, place)
        };
        let mut places: Vec<OwnedSemaphorePermit> = vec![place];
        let window = match admitted {
            Admitted::Within => try_take(&self.wide_windows),
            Admitted::Beyond => None,
        };
        let room = if window.is_some() { &rooms.wide } else { &rooms.narrow };
        places.extend(window);
        let peer = Peer::new(admitted, self.connection_bytes, listener);
        let registered = self.register.add(peer.clone());
        let connection = Connection::new(socket, peer, registered, places);
        room.send(Ok(connection)).await.ok()
    }
}
