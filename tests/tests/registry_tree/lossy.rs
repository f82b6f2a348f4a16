use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

/// Requests still arrive for so long once answers are lost.
const DEAF: Duration = Duration::from_millis(30);

/// A way to a server on which answers can be lost: what was asked is done, and nobody hears of it.
pub(crate) struct Lossy {
    pub(crate) address: SocketAddr,
    losses: watch::Sender<u32>,
    accepting: AbortHandle,
}

impl Lossy {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (losses, seen) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(server) = TcpStream::connect(server).await else { continue };
                connections.spawn(pass(client, server, seen.clone()));
            }
        });
        Self { address, losses, accepting: accepting.abort_handle() }
    }

    /// Loses the answers that are on their way over all connections there are, and breaks these.
    pub(crate) fn lose_answers(&self) {
        self.losses.send_modify(|losses| *losses += 1);
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, mut losses: watch::Receiver<u32>) {
    losses.mark_unchanged();
    let (mut requests, client) = client.into_split();
    let (answers, mut server) = server.into_split();
    tokio::select! {
        _ = copy(&mut requests, &mut server) => {}
        () = answer(answers, client, losses) => {}
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut losses: watch::Receiver<u32>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        tokio::select! {
            biased;
            _ = losses.changed() => return sleep(DEAF).await,
            read = from.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
